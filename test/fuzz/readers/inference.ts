/** An output folder of `elf infer`: the plan and the records of finished parts, read as `elf infer --status` reads them. */
import { Effect } from "effect"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { DiskError } from "../../../src/io/Disk.ts"
import { InferenceError, status } from "../../../src/run/inference/index.ts"
import { mutate } from "../bytes.ts"
import { type Json, mutateJson } from "../json.ts"
import { type Draw, pick, type Reader, require } from "../Reader.ts"
import { fuzzFolder, place } from "./folder.ts"

const files = [{ name: "a/in.parquet", contentKey: "2f".repeat(16), rowGroups: [3, 0, 4] }]

const plan = (task: string): Json => ({
  format: "elf-streams inference",
  version: 1,
  configuration: { task, model: "models/tiny", rows: 3_000, sampler: { steps: 8, guidance: 1.5 } },
  configurationHash: "0".repeat(64),
  files,
  unreadable: [{ name: "b.parquet", problem: "it ends early" }]
})

const record = (rowGroup: number): Json => ({
  part: `a/in.0000${rowGroup}.parquet`,
  input: "a/in.parquet",
  rowGroup,
  rows: 3,
  failedRows: 1,
  tokens: 20,
  promptTokens: 30,
  promptPositions: 32,
  bytes: 512,
  sha256: "1".repeat(64),
  inputSha256: "2".repeat(64),
  inputVersion: "1",
  seconds: 0.5,
  engine: "tensorflow"
})

const records = [record(0), record(2)]

const changedText = (value: Json, draw: Draw): Uint8Array => {
  const text = Buffer.from(mutateJson(value, draw))
  return draw(3) === 0 ? mutate(text, draw) : text
}

const lines = (draw: Draw): Uint8Array => Buffer.concat(records.map((value) => Buffer.concat([changedText(value, draw), Buffer.from(pick(draw, ["\n", "\n\n", "", "\r\n"]))])))

const output = join(fuzzFolder(), "parts")
let made = false
const makeFolder = () => {
  if (!made) mkdirSync(join(output, "_inference"), { recursive: true })
  made = true
}

export const inference: Reader = {
  make: (draw) => {
    const whole = plan(pick(draw, ["generate", "sample"]))
    return {
      "plan.json": draw(2) === 0 ? Buffer.from(JSON.stringify(whole)) : changedText(whole, draw),
      "shard-0-of-1.jsonl": lines(draw)
    }
  },
  read: (from) =>
    Effect.suspend((): Effect.Effect<unknown, unknown> => {
      makeFolder()
      for (const [name, bytes] of Object.entries(from)) place(join("parts/_inference", name), bytes as Uint8Array)
      return Effect.map(status(output), ({ failedRows, open, rows, total }) => {
        require(open.length <= total, `${open.length} of ${total} parts are open`)
        require([total, rows, failedRows].every((count) => Number.isSafeInteger(count) && count >= 0), `it counts ${total}, ${rows}, ${failedRows}`)
      })
    }),
  isTyped: (error) => error instanceof InferenceError || error instanceof DiskError
}
