/**
 * Text → token ids.
 *
 * @since 0.1.0
 */
import { Effect, Stream } from "effect"
import { TokenizeError, Tokenizer } from "../model/Tokenizer.ts"
import type { Stage } from "./Stage.ts"

/** A text, or its token ids, which skip the tokenizer. */
export type TextOrIds = string | Int32Array

/** A condition and what follows from it, as texts. */
export interface TextPair {
  readonly condition: string
  readonly target: string
}

/** A condition and what follows from it, as token ids without special tokens. */
export interface TokenPair {
  readonly condition: Int32Array
  readonly target: Int32Array
}

/** Texts that one native call encodes: enough to keep its threads busy, few enough to stop soon after Ctrl-C. */
const textsPerCall = 256

/** An error that counts rows of a call, as one that counts rows of the stream. */
const inStream = (error: TokenizeError, first: number, textsPerRow: number): TokenizeError =>
  error.row === undefined
    ? error
    : new TokenizeError({
      operation: error.operation,
      where: error.where,
      reason: error.reason,
      remedy: error.remedy,
      row: first + Math.floor(error.row / textsPerRow)
    })

const encodeRows = Effect.fnUntraced(function*(texts: ReadonlyArray<string>, firstRow: number, textsPerRow: number) {
  const tokenizer = yield* Tokenizer
  const encoded: Array<Int32Array> = []
  for (let i = 0; i < texts.length; i += textsPerCall) {
    const ids = yield* tokenizer.encodeBatch(texts.slice(i, i + textsPerCall)).pipe(
      Effect.mapError((error) => inStream(error, firstRow + i / textsPerRow, textsPerRow))
    )
    encoded.push(...ids)
  }
  return encoded
})

/**
 * Encodes each document; no special token is added. One array of ids for each text, in order.
 *
 * **Details** The texts of a chunk are encoded together, on threads of their own, so a `prefetch` behind this stage
 * overlaps with what follows. Fails with `TokenizeError`, which names the row of the stream.
 */
export const tokenize: Stage<string, Int32Array, TokenizeError, Tokenizer> = Stream.mapAccumArrayEffect(
  () => 0,
  (row: number, texts: ReadonlyArray<string>) =>
    Effect.map(encodeRows(texts, row, 1), (ids) => [row + texts.length, ids] as const)
)

/** Encodes both texts of each pair; otherwise as {@link tokenize}. */
export const tokenizePairs: Stage<TextPair, TokenPair, TokenizeError, Tokenizer> = Stream.mapAccumArrayEffect(
  () => 0,
  (row: number, pairs: ReadonlyArray<TextPair>) =>
    Effect.map(
      encodeRows(pairs.flatMap(({ condition, target }) => [condition, target]), row, 2),
      (ids) =>
        [row + pairs.length, pairs.map((_, i) => ({ condition: ids[2 * i]!, target: ids[2 * i + 1]! }))] as const
    )
)

/** The ids of each row, in order: texts are encoded together, ids are as they are. */
export const idsOf = Effect.fnUntraced(function*(rows: ReadonlyArray<TextOrIds>) {
  const encoded = (yield* encodeRows(rows.filter((row) => typeof row === "string"), 0, 1)).values()
  return rows.map((row) => typeof row === "string" ? encoded.next().value! : row)
})
