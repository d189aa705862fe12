/**
 * What decides the results of an inference, in a form that two machines can compare.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { basename, join } from "node:path"
import { pipeline } from "node:stream/promises"
import { attempt, type DiskError } from "../../io/Disk.ts"
import { Checkpoint, type RunConfig } from "../../io/index.ts"
import { version } from "../../version.ts"
import type { SamplerChoice } from "../sampling.ts"
import type { InferenceRequest } from "./request.ts"

const sha256OfFile = (path: string): Effect.Effect<string, DiskError> =>
  attempt("read", path, async () => {
    const hash = createHash("sha256")
    await pipeline(createReadStream(path), hash)
    return hash.digest("hex")
  })

/** sha256 over the configuration and weights in a folder; elsewhere the name says which encoder it is. */
export const encoderIdentity = ({ name, path }: RunConfig.RunConfig["encoder"]): Effect.Effect<string, DiskError> =>
  path === undefined ? Effect.succeed(String(name)) : Effect.gen(function*() {
    const entries = yield* attempt("list", path, (disk) => disk.list(path))
    const names = entries.filter(({ kind, name }) => kind === "file" && /\.(json|safetensors|model)$/.test(name)).map(({ name }) => name).sort()
    const digests = yield* Effect.forEach(names, (name) => sha256OfFile(join(path, name)))
    return `sha256:${createHash("sha256").update(JSON.stringify(names.map((name, i) => [name, digests[i]]))).digest("hex")}`
  })

/** The checkpoint by name, step and the sha256 of its manifest, which seals its weights. */
const modelIdentity = Effect.fnUntraced(function*(checkpoint: string) {
  const { path, step } = yield* Checkpoint.read(checkpoint)
  return `${basename(path)}, step ${step}, sha256:${yield* sha256OfFile(join(path, "checkpoint.json"))}`
})

/** Everything that decides what the parts hold, besides the input files. Batch size, shards and paths do not. */
export const configurationOf = Effect.fnUntraced(function*(request: InferenceRequest, run: RunConfig.RunConfig, choice: SamplerChoice) {
  const { codec = "snappy", column, columns, draws = 4, pool = "none", rows, task } = request
  const { count: _, ...sampler } = choice
  return {
    task,
    model: yield* modelIdentity(request.checkpoint),
    ...(task === "generate" ? { rows } : { encoder: yield* encoderIdentity(run.encoder), column, columns: columns ?? "all" }),
    ...(task === "sample" || task === "generate" ? { sampler } : {}),
    ...(task === "encode" ? { pool } : {}),
    ...(task === "score" ? { draws, seed: choice.seed } : {}),
    codec,
    version
  }
})

/** sha256 of a configuration, hexadecimal. */
export const configurationHash = (configuration: object): string =>
  createHash("sha256").update(JSON.stringify(configuration)).digest("hex")
