/**
 * `checkpoint.json`: what a checkpoint holds, with a sha256 over every payload file and over itself.
 *
 * @since 0.1.0
 */
import { Effect, Schema } from "effect"
import { createHash } from "node:crypto"
import { CheckpointError, damaged as damagedCheckpoint } from "./CheckpointError.ts"
import { parseJson } from "./smallText.ts"

/** Name of the manifest inside a checkpoint's folder. */
export const manifestName = "checkpoint.json"

const format = "elf-streams checkpoint"
const version = 1

/** Section names become file names, so they are kept plain. */
export const isSectionName = (name: string): boolean => /^[a-z][a-z0-9-]{0,63}$/.test(name)

/** File of a section inside the checkpoint's folder. */
export const sectionFile = (section: string): string => `${section}.safetensors`

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Sha256 = Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/))

const Manifest = Schema.Struct({
  format: Schema.Literal(format),
  version: Schema.Literal(version),
  step: Count,
  configuration: Schema.Unknown,
  metadata: Schema.Record(Schema.String, Schema.Unknown),
  files: Schema.Record(Schema.String, Schema.Struct({ bytes: Count, sha256: Sha256 }))
})

/** The decoded manifest; `files` is keyed by section. */
export type Manifest = typeof Manifest.Type

const seal = (json: string) => createHash("sha256").update(json).digest("hex")

/** The text of `checkpoint.json`; fails where configuration or metadata are no JSON. */
export const render = (
  path: string,
  contents: Omit<Manifest, "format" | "version">
): Effect.Effect<string, CheckpointError> =>
  Effect.try({
    try: () => {
      const body = { format, version, ...contents }
      return `${JSON.stringify({ ...body, sha256: seal(JSON.stringify(body)) }, undefined, 2)}\n`
    },
    catch: (cause) =>
      new CheckpointError({
        path,
        reason: "badInput",
        detail: `configuration or metadata cannot be written as JSON (${String(cause)})`,
        remedy: "pass plain values only"
      })
  })

const damaged = (path: string, detail: string) => damagedCheckpoint(path, `${manifestName} ${detail}`)

const parseSealed = (path: string, text: string): Effect.Effect<unknown, CheckpointError> =>
  Effect.gen(function*() {
    const value = yield* Effect.try({
      try: () => parseJson(text),
      catch: (cause) => damaged(path, `is no JSON (${cause instanceof Error ? cause.message : String(cause)})`)
    })
    if (typeof value !== "object" || value === null) return yield* damaged(path, "holds no object")
    const { sha256, ...body } = value as Record<string, unknown>
    if (body["format"] !== format) return yield* damaged(path, "is not one of elf-streams")
    if (typeof body["version"] === "number" && body["version"] > version) {
      return yield* new CheckpointError({
        path,
        reason: "unsupported",
        detail: `the checkpoint has format version ${body["version"]}; this release reads up to ${version}`,
        remedy: "update elf-streams"
      })
    }
    if (sha256 === seal(JSON.stringify(body))) return body
    return yield* damaged(path, "was changed after it was written (its sha256 differs)")
  })

/** Parses and checks the text of `checkpoint.json`. */
export const parse = (path: string, text: string): Effect.Effect<Manifest, CheckpointError> =>
  parseSealed(path, text).pipe(
    Effect.flatMap((body) =>
      Effect.mapError(
        Schema.decodeUnknownEffect(Manifest)(body),
        (error) => damaged(path, `is not as expected (${error.message.replace(/\s+/g, " ")})`)
      )
    ),
    Effect.filterOrFail(
      (manifest) => Object.keys(manifest.files).every(isSectionName),
      () => damaged(path, "names a section that cannot be one")
    )
  )
