/** The reference's checkpoints in test/fixtures, and what they hold. */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

export interface CkptCase {
  readonly name: string
  readonly scalars: {
    /** By `params.…` and `ema_params1.…`, in PyTorch names and layouts. */
    readonly tensor_digests: Readonly<Record<string, { readonly shape: ReadonlyArray<number>; readonly sha256: string }>>
    readonly opt_param_index_to_name?: ReadonlyArray<string>
    readonly step: number
  }
}

/** Path of a fixture file. */
export const ckptPath = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url))

const { cases } = JSON.parse(readFileSync(ckptPath("ckpt_manifest.json"), "utf8")) as { readonly cases: ReadonlyArray<CkptCase> }

/** Digests and settings of a case. */
export const ckptCase = (name: string): CkptCase => {
  const found = cases.find((each) => each.name === name)
  if (found === undefined) throw new Error(`no case "${name}"`)
  return found
}

/** Writes the run file of the fixtures' network; returns its path. */
export const writeRun = (folder: string, change: Record<string, unknown> = {}, optimizer: Record<string, unknown> = {}) => {
  const path = join(folder, "run.json")
  writeFileSync(path, JSON.stringify({
    model: { hidden: 48, depth: 2, heads: 4, textWidth: 16, bottleneck: 8, length: 12, vocabulary: 61, ...change },
    encoder: { path: "encoder" },
    data: { train: "texts.parquet" },
    optimizer: { steps: 10, ...optimizer }
  }))
  return path
}
