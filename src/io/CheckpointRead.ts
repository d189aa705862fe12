/**
 * Reading checkpoints: the manifest at once, sections only when asked for, nothing without its sha256.
 *
 * @since 0.1.0
 */
import { Effect, type Scope } from "effect"
import { join } from "node:path"
import { CheckpointError, damaged, fromSafetensorsError, type Mismatch, shapeError } from "./CheckpointError.ts"
import { hashFile, readText } from "./checkpointFiles.ts"
import { resolve } from "./checkpointFolders.ts"
import { type Manifest, manifestName, parse, sectionFile } from "./checkpointManifest.ts"
import { nearest } from "./nearest.ts"
import * as Safetensors from "./Safetensors.ts"

/** Shapes by tensor name. */
export type Shapes = Readonly<Record<string, ReadonlyArray<number>>>

/** A checkpoint on disk; its sections are read when asked for. */
export interface Checkpoint {
  /** The folder that holds `checkpoint.json`. */
  readonly path: string
  readonly step: number
  /** The configuration it was written with, as plain JSON. */
  readonly configuration: unknown
  readonly metadata: Readonly<Record<string, unknown>>
  readonly sections: ReadonlyArray<string>
  /** Checks a section's sha256, then reads all its tensors; F16 comes as 32-bit floats. */
  readonly section: (name: string) => Effect.Effect<ReadonlyMap<string, Safetensors.Tensor>, CheckpointError>
  /** Checks a section's sha256, then opens it, to read tensor by tensor. */
  readonly open: (name: string) => Effect.Effect<Safetensors.SafetensorsFile, CheckpointError, Scope.Scope>
  /** Succeeds if the section has exactly these tensors, of these shapes; otherwise the error lists every difference. */
  readonly expect: (name: string, shapes: Shapes) => Effect.Effect<void, CheckpointError>
}

const requireSection = (path: string, manifest: Manifest, name: string) => {
  const known = manifest.files[name]
  if (known !== undefined && Object.hasOwn(manifest.files, name)) return Effect.succeed(known)
  const names = Object.keys(manifest.files)
  const close = nearest(name, names)
  return Effect.fail(
    new CheckpointError({
      path,
      section: name,
      reason: "missing",
      detail: `there is no section "${name}" (it has ${names.join(", ") || "none"})`,
      remedy: close === undefined ? "use a checkpoint that holds it" : `did you mean "${close}"?`
    })
  )
}

const verify = (path: string, manifest: Manifest, name: string): Effect.Effect<string, CheckpointError> =>
  Effect.gen(function*() {
    const promised = yield* requireSection(path, manifest, name)
    const file = join(path, sectionFile(name))
    const found = yield* hashFile(file, path)
    if (found.bytes !== promised.bytes) {
      return yield* damaged(path, `${sectionFile(name)} has ${found.bytes} bytes instead of ${promised.bytes}`, name)
    }
    if (found.sha256 !== promised.sha256) {
      return yield* damaged(path, `${sectionFile(name)} was changed after it was written (its sha256 differs)`, name)
    }
    return file
  })

/** Every difference between tensors and the shapes they should have. */
export const mismatches = (
  tensors: ReadonlyMap<string, { readonly shape: ReadonlyArray<number> }>,
  shapes: Shapes
): ReadonlyArray<Mismatch> => {
  const wanted = Object.entries(shapes).flatMap(([tensor, expected]): ReadonlyArray<Mismatch> => {
    const actual = tensors.get(tensor)?.shape
    if (actual === undefined) return [{ tensor, expected }]
    const same = actual.length === expected.length && actual.every((n, i) => n === expected[i])
    return same ? [] : [{ tensor, expected, actual }]
  })
  const extra = [...tensors].filter(([tensor]) => !Object.hasOwn(shapes, tensor))
  return [...wanted, ...extra.map(([tensor, { shape }]) => ({ tensor, actual: shape }))]
}

const checkpointOf = (path: string, manifest: Manifest): Checkpoint => {
  const explain = (name: string) => Effect.mapError(fromSafetensorsError(path, name))
  const open = (name: string) =>
    Effect.flatMap(verify(path, manifest, name), (file) => explain(name)(Safetensors.open(file)))
  return {
    path,
    step: manifest.step,
    configuration: manifest.configuration,
    metadata: manifest.metadata,
    sections: Object.keys(manifest.files),
    open,
    section: (name) => Effect.flatMap(verify(path, manifest, name), (file) => explain(name)(Safetensors.readAll(file))),
    expect: (name, shapes) =>
      Effect.scoped(Effect.gen(function*() {
        yield* requireSection(path, manifest, name)
        const { tensors } = yield* explain(name)(Safetensors.open(join(path, sectionFile(name))))
        const found = mismatches(tensors, shapes)
        if (found.length > 0) return yield* shapeError(path, name, found)
      }))
  }
}

/** Reads the manifest of a checkpoint's folder, or of the latest checkpoint of a run's folder. */
export const read = (path: string): Effect.Effect<Checkpoint, CheckpointError> =>
  Effect.gen(function*() {
    const folder = yield* resolve(path)
    const text = yield* readText(join(folder, manifestName), folder)
    return checkpointOf(folder, yield* parse(folder, text))
  })
