/**
 * Reading checkpoints: the manifest at once, sections only when asked for, nothing without its sha256.
 *
 * @since 0.1.0
 */
import { Effect, type Scope } from "effect"
import { createHash } from "node:crypto"
import { join } from "node:path"
import { CheckpointError, fromDiskError, fromSafetensorsError, type Mismatch, shapeError } from "./CheckpointError.ts"
import { type Manifest, manifestName, parse, sectionFile } from "./checkpointManifest.ts"
import { attempt, type DiskFile } from "./Disk.ts"
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

/** Name of the pointer file in a run's folder. */
export const latestName = "latest"

const largestManifest = 64 * 1024 * 1024
const bytesPerRead = 1 << 22

const openFile = (path: string, checkpoint: string) =>
  Effect.acquireRelease(
    Effect.mapError(attempt("open", path, (disk) => disk.openToRead(path)), fromDiskError(checkpoint)),
    (file) => Effect.promise(() => file.close().catch(() => undefined))
  )

const readPart = (file: DiskFile, path: string, into: Uint8Array, position: number, checkpoint: string) =>
  Effect.mapError(attempt("read", path, () => file.read(into, position)), fromDiskError(checkpoint))

const readText = (path: string, checkpoint: string): Effect.Effect<string, CheckpointError> =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* openFile(path, checkpoint)
    if (file.size > largestManifest) return yield* damaged(checkpoint, `${path} has ${file.size} bytes, which is no manifest`)
    const bytes = new Uint8Array(file.size)
    for (let offset = 0; offset < bytes.length;) {
      const read = yield* readPart(file, path, bytes.subarray(offset), offset, checkpoint)
      if (read === 0) break
      offset += read
    }
    return Buffer.from(bytes).toString("utf8")
  }))

const damaged = (path: string, detail: string, section?: string) =>
  new CheckpointError({ path, reason: "damaged", detail, remedy: "use another checkpoint", ...(section === undefined ? {} : { section }) })

const hashFile = (path: string, checkpoint: string) =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* openFile(path, checkpoint)
    const hash = createHash("sha256")
    const buffer = new Uint8Array(Math.min(bytesPerRead, file.size))
    for (let offset = 0; offset < file.size;) {
      const read = yield* readPart(file, path, buffer, offset, checkpoint)
      if (read === 0) break
      hash.update(buffer.subarray(0, read))
      offset += read
    }
    return { bytes: file.size, sha256: hash.digest("hex") }
  }))

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
    return actual.length === expected.length && actual.every((n, i) => n === expected[i]) ? [] : [{ tensor, expected, actual }]
  })
  const extra = [...tensors].filter(([tensor]) => !Object.hasOwn(shapes, tensor)).map(([tensor, { shape }]) => ({ tensor, actual: shape }))
  return [...wanted, ...extra]
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
      Effect.scoped(Effect.flatMap(
        Effect.andThen(requireSection(path, manifest, name), explain(name)(Safetensors.open(join(path, sectionFile(name))))),
        ({ tensors }) => {
          const found = mismatches(tensors, shapes)
          return found.length === 0 ? Effect.void : Effect.fail(shapeError(path, name, found))
        }
      ))
  }
}

const stepPattern = /^step-(\d{8,})(?:-(\d+))?$/

/** A checkpoint folder inside a run's folder; `revision` counts rewrites of one step. */
export interface StepFolder {
  readonly name: string
  readonly step: number
  readonly revision: number
}

/** Name of the folder of a step: `step-00000100`, or `step-00000100-2` for the second writing of that step. */
export const stepName = (step: number, revision = 1): string =>
  `step-${String(step).padStart(8, "0")}${revision > 1 ? `-${revision}` : ""}`

const parseStep = (name: string): StepFolder | undefined => {
  const match = stepPattern.exec(name)
  return match === null ? undefined : { name, step: Number(match[1]), revision: Number(match[2] ?? 1) }
}

/** The checkpoints of a run's folder, oldest first. */
export const list = (runFolder: string): Effect.Effect<ReadonlyArray<StepFolder>, CheckpointError> =>
  attempt("list", runFolder, (disk) => disk.list(runFolder)).pipe(
    Effect.mapError(fromDiskError(runFolder)),
    Effect.map((entries) =>
      entries.filter((entry) => entry.kind === "folder").map((entry) => parseStep(entry.name)).filter((step) => step !== undefined)
        .sort((a, b) => a.step - b.step || a.revision - b.revision)
    )
  )

const isFile = (path: string, checkpoint: string) =>
  Effect.map(
    Effect.mapError(attempt("look at", path, (disk) => disk.kind(path)), fromDiskError(checkpoint)),
    (kind) => kind === "file"
  )

const missing = (path: string, detail: string, remedy: string) => new CheckpointError({ path, reason: "missing", detail, remedy })

const pointedTo = (runFolder: string): Effect.Effect<string, CheckpointError> =>
  Effect.gen(function*() {
    const pointer = join(runFolder, latestName)
    const name = (yield* readText(pointer, runFolder)).trim()
    if (parseStep(name) === undefined) return yield* damaged(runFolder, `the file "${latestName}" names no checkpoint`)
    const folder = join(runFolder, name)
    if (yield* isFile(join(folder, manifestName), folder)) return folder
    const others = (yield* list(runFolder)).map((step) => step.name).filter((other) => other !== name)
    return yield* missing(
      runFolder,
      `the latest checkpoint, ${name}, is not there`,
      others.length > 0 ? `name another one (${others.join(", ")})` : "restore it, or start over"
    )
  })

/** The folder of the checkpoint that `path` means: `path` itself, or the latest one of the run below it. */
export const resolve = (path: string): Effect.Effect<string, CheckpointError> =>
  Effect.gen(function*() {
    if (yield* isFile(join(path, manifestName), path)) return path
    if (yield* isFile(join(path, latestName), path)) return yield* pointedTo(path)
    const kind = yield* Effect.mapError(attempt("look at", path, (disk) => disk.kind(path)), fromDiskError(path))
    if (kind !== "folder") return yield* missing(path, "there is no such folder", "check the path")
    // A run stopped between its first checkpoint and the pointer to it has one all the same.
    const last = (yield* list(path)).at(-1)
    if (last !== undefined) return join(path, last.name)
    return yield* missing(path, `the folder holds no checkpoint (neither ${manifestName} nor ${latestName})`, "check the path")
  })

/** Reads the manifest of a checkpoint's folder, or of the latest checkpoint of a run's folder. */
export const read = (path: string): Effect.Effect<Checkpoint, CheckpointError> =>
  Effect.gen(function*() {
    const folder = yield* resolve(path)
    const text = yield* readText(join(folder, manifestName), folder)
    return checkpointOf(folder, yield* parse(folder, text))
  })
