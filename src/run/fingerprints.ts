/**
 * What decides a run besides its run file: its data, its vocabulary, its encoder, its teacher. A checkpoint records their
 * digests, so that a run is not resumed on others unnoticed.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { attempt } from "../io/Disk.ts"
import { Checkpoint, type RunConfig } from "../io/index.ts"
import { Tokenizer } from "../model/Tokenizer.ts"
import { encoderIdentity } from "./inference/identity.ts"
import { dataDigest } from "./trainingFiles.ts"

/** Digests by what they are of; equal where nothing that matters has changed. Folders may move. */
export interface Fingerprints {
  /** sha256 over size, head and footer of each training file, in order. */
  readonly data: string
  /** `Tokenizer.digest`. */
  readonly vocabulary: string
  /** sha256 over the encoder's files, or its name on a hub. */
  readonly encoder: string
  /** sha256 of the teacher's manifest, which seals its weights; of a distillation only. */
  readonly teacher?: string
}

const teacherDigest = Effect.fnUntraced(function*(teacher: string) {
  const { path } = yield* Checkpoint.read(teacher)
  const manifest = join(path, "checkpoint.json")
  const bytes = yield* attempt("read", manifest, () => readFile(manifest))
  return createHash("sha256").update(bytes).digest("hex")
})

/** The digests of what a run is about to train with; a distillation's where `teacher` names one. */
export const fingerprints = Effect.fnUntraced(function*(run: RunConfig.RunConfig, teacher?: string) {
  const { digest } = yield* Tokenizer
  return {
    data: yield* dataDigest(run.data.train),
    vocabulary: digest,
    encoder: yield* encoderIdentity(run.encoder),
    ...(teacher === undefined ? {} : { teacher: yield* teacherDigest(teacher) })
  } satisfies Fingerprints
})
