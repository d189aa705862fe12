/**
 * Texts with blanks: tokens that are given at any positions, and positions that a network fills.
 */
import { Effect, Schema } from "effect"
import { type TokenizeError, Tokenizer } from "../model/Tokenizer.ts"

/** N tokens of which some are given. */
export interface Template {
  /** Token ids `[N]`; read at given positions only. */
  readonly ids: Int32Array
  /** 1 = given, 0 = to be filled `[N]` */
  readonly given: Uint8Array
}

/** A text that is no template, or one that does not fit the network. */
export class TemplateError extends Schema.TaggedError<TemplateError>()("TemplateError", {
  /** The text, or the template's place in the stream. */
  where: Schema.String,
  /** What is wrong. */
  detail: Schema.String,
  /** What to do about it. */
  remedy: Schema.String
}) {
  override get message(): string {
    return `${this.where}: ${this.detail}. ${this.remedy}.`
  }
}

/** `length` ≥ 0 tokens, none of them given. */
export const blank = (length: number): Template => ({ ids: new Int32Array(length), given: new Uint8Array(length) })

/** Tokens that are all given. */
export const allGiven = (ids: Int32Array): Template => ({ ids, given: new Uint8Array(ids.length).fill(1) })

/** One template after the other. */
export const joined = (parts: ReadonlyArray<Template>): Template => ({
  ids: Int32Array.from(parts.flatMap(({ ids }) => [...ids])),
  given: Uint8Array.from(parts.flatMap(({ given }) => [...given]))
})

/** Positions up to the last given one, that one included; 0 where nothing is given. */
export const givenLength = ({ given }: Template): number => given.lastIndexOf(1) + 1

/** Whether anything is given. */
export const hasGiven = (template: Template): boolean => givenLength(template) > 0

/** `ids` `[S ≥ N]` with the given tokens put in their places. */
export const withGiven = (ids: Int32Array, template: Template): Int32Array => ids.map((id, i) => (template.given[i] === 1 ? template.ids[i]! : id))

/** Three underscores, and how many tokens go there. */
const blanks = /___(?:\{(\d*)\})?/g

/** A text between two blanks, or how long a blank is. */
type Piece = string | number

const piecesOf = (text: string): ReadonlyArray<Piece> => {
  const pieces: Array<Piece> = []
  let at = 0
  for (const match of text.matchAll(blanks)) {
    pieces.push(text.slice(at, match.index), match[1] === undefined ? 1 : Number(match[1]))
    at = match.index + match[0].length
  }
  return [...pieces, text.slice(at)].filter((piece) => piece !== "")
}

/** What vocabularies that mark the beginnings of words write before a character that begins none; nothing for others. */
const wordMark = (comma: Int32Array): number | undefined => (comma.length === 2 ? comma[0] : undefined)

/** The mark is left out where a text goes on right behind a blank, as in `___, of`. */
const continued = (ids: Int32Array, mark: number | undefined): Int32Array => (ids[0] === mark ? ids.subarray(1) : ids)

/**
 * The template that a text with blanks stands for: `___` is a blank of one token, `___{5}` one of five.
 *
 * **Details** The texts between the blanks are tokenised each by itself. One that follows a blank begins a new word,
 * unless it begins with a punctuation mark or a piece that the vocabulary knows without a space before it.
 */
export const parse = (text: string): Effect.Effect<Template, TokenizeError | TemplateError, Tokenizer> =>
  Effect.gen(function*() {
    const tokenizer = yield* Tokenizer
    const pieces = piecesOf(text)
    if (pieces.includes(0)) {
      return yield* new TemplateError({ where: `"${text}"`, detail: "it has a blank without a length", remedy: "Write ___ for one token, ___{5} for five" })
    }
    const mark = wordMark(yield* tokenizer.encode(","))
    const parts = yield* Effect.forEach(pieces, (piece, i) =>
      typeof piece === "number"
        ? Effect.succeed(blank(piece))
        : Effect.map(tokenizer.encode(piece.trimEnd()), (ids) => allGiven(i > 0 && !/^\s/.test(piece) ? continued(ids, mark) : ids)))
    return joined(parts)
  })
