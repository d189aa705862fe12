/** Checkpoints of this library: the manifest, its seal made right again half of the time, the pointer, the sections. */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import { Checkpoint } from "../../../src/io/index.ts"
import { onDisk } from "../../io/support.ts"
import { mutate } from "../bytes.ts"
import { type Json, mutateJson } from "../json.ts"
import { diskOf } from "../memory.ts"
import { type Draw, pick, type Reader } from "../Reader.ts"
import { checkTensors, makeSafetensors, original as section } from "./safetensors.ts"

const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex")

const bodyOf = (model: Uint8Array): { readonly [key: string]: Json } => ({
  format: "elf-streams checkpoint",
  version: 1,
  step: 3,
  configuration: { model: { hidden: 16, depth: 1 }, data: { train: "texts.parquet" }, seed: 1 },
  metadata: { updates: 3, resume: { documents: 1, offset: 2, index: 3 } },
  files: { model: { bytes: model.length, sha256: sha256(model) }, ema: { bytes: section.length, sha256: sha256(section) } }
})

/** The text with the seal that fits it, as one who forges a manifest would write it. */
const sealed = (text: string): string => {
  try {
    const body = JSON.parse(text) as Record<string, Json>
    delete body["sha256"]
    return JSON.stringify({ ...body, sha256: sha256(JSON.stringify(body)) })
  } catch {
    return text
  }
}

const manifestOf = (draw: Draw, model: Uint8Array): string => {
  const body = bodyOf(model)
  switch (draw(4)) {
    case 0: return sealed(JSON.stringify(body))
    case 1: return mutateJson(JSON.parse(sealed(JSON.stringify(body))) as Json, draw)
    default: return sealed(mutateJson(body, draw))
  }
}

const pointers = ["step-00000003", "step-00000003\n", "../step-00000003", "/etc", "", "step-99999999999999999999", "step-00000003-0", "\u0000", "x".repeat(10_000)]

export const checkpoint: Reader = {
  make: (draw) => {
    const model = draw(2) === 0 ? section : makeSafetensors(draw)
    const manifest = Buffer.from(manifestOf(draw, model))
    return {
      "checkpoint.json": draw(6) === 0 ? mutate(manifest, draw) : manifest,
      ...(draw(4) === 0 ? { latest: draw(2) === 0 ? Buffer.from(pick(draw, pointers)) : mutate(Buffer.from("step-00000003\n"), draw) } : {}),
      "model.safetensors": model,
      "ema.safetensors": draw(4) === 0 ? mutate(section, draw) : section
    }
  },
  read: (from) =>
    Effect.gen(function*() {
      const { expect, sections, section } = yield* Checkpoint.read("run-folder")
      for (const name of sections) {
        checkTensors(yield* section(name))
        yield* Effect.ignore(expect(name, { w: [1, 2] }))
      }
    }).pipe(onDisk(diskOf(from))),
  isTyped: (error) => error instanceof Checkpoint.CheckpointError
}
