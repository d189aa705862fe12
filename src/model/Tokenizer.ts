/**
 * Text ↔ token ids, by Hugging Face's Rust tokenizer; the T5 vocabulary (32,100 pieces) ships with the library.
 *
 * @since 0.1.0
 */
import { createHash } from "node:crypto"
import { readFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { gunzip } from "node:zlib"
import { Context, Effect, Layer, Schema } from "effect"
import * as Rust from "tokenizers"

/** A vocabulary could not be loaded, a text not encoded, or ids not decoded. */
export class TokenizeError extends Schema.TaggedError<TokenizeError>()("TokenizeError", {
  operation: Schema.Literals(["load", "encode", "decode"]),
  /** What it was about: the vocabulary file, the text, or the position among the ids. */
  where: Schema.String,
  /** Which text, counted from 0: in the batch, and for the stage `tokenize` in the stream. */
  row: Schema.optionalKey(Schema.Number),
  /** What went wrong. */
  reason: Schema.String,
  /** What to do about it. */
  remedy: Schema.String
}) {
  override get message(): string {
    const where = this.row === undefined ? this.where : `row ${this.row}`
    return `Cannot ${this.operation} ${where}: ${this.reason}. ${this.remedy}`
  }
}

export class Tokenizer extends Context.Service<Tokenizer, {
  /**
   * Token ids of `text`; no special token is added.
   *
   * **Gotchas** A lone surrogate reads as U+FFFD. A special token spelt out in the text (`</s>`, `<pad>`,
   * `<extra_id_0>`) becomes that token, as in the reference.
   */
  readonly encode: (text: string) => Effect.Effect<Int32Array, TokenizeError>
  /** Token ids of each text: the same as one by one, and faster. */
  readonly encodeBatch: (texts: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<Int32Array>, TokenizeError>
  /** The text of `ids`, special tokens (padding, EOS) left out; fails on an id outside of the vocabulary. */
  readonly decode: (ids: ArrayLike<number>) => Effect.Effect<string, TokenizeError>
  /** Ids are in [0, vocabularySize). */
  readonly vocabularySize: number
  readonly padId: number
  readonly endOfSequenceId: number
  /** sha256 of the vocabulary's JSON and the two special tokens, hexadecimal: the same for the same ids. */
  readonly digest: string
}>()("elf-streams/model/Tokenizer") {
  /** The T5 vocabulary that ships with the library. */
  static readonly layer: Layer.Layer<Tokenizer, TokenizeError> = Layer.effect(
    Tokenizer,
    Effect.suspend(() => load(fileURLToPath(new URL("../../assets/t5-tokenizer.json.gz", import.meta.url))))
  )

  /**
   * A vocabulary of your own: a Hugging Face `tokenizer.json`, plain or gzipped. Its settings for truncation and padding
   * are not used: how long rows are is the run's affair.
   */
  static readonly layerFile = (path: string, tokens: SpecialTokens = {}): Layer.Layer<Tokenizer, TokenizeError> =>
    Layer.effect(Tokenizer, Effect.suspend(() => load(path, tokens)))
}

/** The tokens that rows are filled with and texts end with. */
export interface SpecialTokens {
  /** Default: `<pad>` or `[PAD]`, whichever the vocabulary has. */
  readonly pad?: string | undefined
  /** Default: `</s>` or `[SEP]`, whichever the vocabulary has. */
  readonly endOfSequence?: string | undefined
}

const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause)).replace(/\.$/, "")

const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b

const readVocabulary = async (path: string): Promise<string> => {
  const bytes = await readFile(path)
  const json = isGzip(bytes) ? await promisify(gunzip)(bytes) : bytes
  return withoutLengths(json.toString("utf8"))
}

/** Sentence encoders bring settings that cut every text after 128 tokens and fill it up to them. */
const withoutLengths = (json: string): string => {
  const settings = JSON.parse(json) as { readonly truncation?: unknown; readonly padding?: unknown }
  return settings.truncation == null && settings.padding == null ? json : JSON.stringify({ ...settings, truncation: null, padding: null })
}

const loadError = (path: string) => (cause: unknown): TokenizeError =>
  new TokenizeError({
    operation: "load",
    where: `the vocabulary ${path}`,
    reason: reasonOf(cause),
    remedy: "Give a Hugging Face tokenizer.json (plain or gzipped) with a token for padding and one for the end of a text, such as <pad> and </s>."
  })

const specialToken = (rust: Rust.Tokenizer, candidates: ReadonlyArray<string>): number => {
  const id = candidates.map((token) => rust.tokenToId(token)).find((found) => found !== null)
  if (id === undefined) throw new Error(`it has no token ${candidates.join(" or ")}`)
  return id
}

const load = (path: string, tokens: SpecialTokens = {}): Effect.Effect<Tokenizer["Service"], TokenizeError> =>
  Effect.tryPromise({ try: () => readVocabulary(path).then((json) => make(json, tokens)), catch: loadError(path) })

const make = (json: string, { endOfSequence, pad }: SpecialTokens): Tokenizer["Service"] => {
  const rust = Rust.Tokenizer.fromString(json)
  const padId = specialToken(rust, pad === undefined ? ["<pad>", "[PAD]"] : [pad])
  const endOfSequenceId = specialToken(rust, endOfSequence === undefined ? ["</s>", "[SEP]"] : [endOfSequence])
  const vocabularySize = rust.getVocabSize(true)
  const encodeBatch = Effect.fnUntraced(function*(texts: ReadonlyArray<string>) {
    yield* requireTexts(texts)
    const encodings = yield* Effect.tryPromise({
      try: () => rust.encodeBatch(texts.map((text) => text.toWellFormed()), { addSpecialTokens: false }),
      catch: (cause) => textError(texts.length === 1 ? { row: 0 } : {}, reasonOf(cause))
    })
    return encodings.map((encoding) => Int32Array.from(encoding.getIds()))
  })
  return Tokenizer.of({
    encodeBatch,
    encode: (text) => Effect.map(encodeBatch([text]), ([ids]) => ids!),
    decode: Effect.fnUntraced(function*(ids) {
      yield* requireIds(ids, vocabularySize)
      return yield* Effect.tryPromise({
        try: () => rust.decode(Array.from(ids), true),
        catch: (cause) => idError(`${ids.length} ids`, reasonOf(cause))
      })
    }),
    vocabularySize,
    padId,
    endOfSequenceId,
    digest: createHash("sha256").update(json).update(`\n${padId} ${endOfSequenceId}`).digest("hex")
  })
}

const textError = (at: { readonly row?: number }, reason: string): TokenizeError =>
  new TokenizeError({
    ...at,
    operation: "encode",
    where: "a batch of texts",
    reason,
    remedy: "Pass every text as a string; skip rows without one."
  })

const idError = (where: string, reason: string): TokenizeError =>
  new TokenizeError({
    operation: "decode",
    where,
    reason,
    remedy: "Decode with the vocabulary that the ids were made with."
  })

/** The native code refuses a whole batch for one value that is not a text, without saying which. */
const requireTexts = (texts: ReadonlyArray<unknown>): Effect.Effect<void, TokenizeError> => {
  const row = texts.findIndex((text) => typeof text !== "string")
  if (row === -1) return Effect.void
  const value = texts[row]
  return Effect.fail(textError({ row }, `it is ${value === null ? "null" : typeof value}, not a text`))
}

/** The native code leaves out unknown ids in silence. */
const requireIds = (ids: ArrayLike<number>, vocabularySize: number): Effect.Effect<void, TokenizeError> => {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!
    if (!Number.isInteger(id) || id < 0 || id >= vocabularySize) {
      return Effect.fail(idError(`position ${i}`, `id ${id} is not in [0, ${vocabularySize})`))
    }
  }
  return Effect.void
}
