/**
 * Which tokens a vocabulary's folder names for padding and for the end of a text.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { readFile } from "node:fs/promises"
import type { SpecialTokens } from "../model/Tokenizer.ts"

const contentOf = (token: unknown): string | undefined => {
  if (typeof token === "string") return token
  const content = (token as { readonly content?: unknown } | null | undefined)?.content
  return typeof content === "string" ? content : undefined
}

const tokensOf = (text: string): SpecialTokens => {
  const { eos_token, pad_token, sep_token } = JSON.parse(text) as Record<string, unknown>
  // BERT and its kin end texts with their separator.
  return { pad: contentOf(pad_token), endOfSequence: contentOf(eos_token) ?? contentOf(sep_token) }
}

/** The tokens that a `tokenizer_config.json` names; none of them where there is no such file, or it cannot be read. */
export const specialTokens = (path: string | undefined): Effect.Effect<SpecialTokens> =>
  path === undefined ? Effect.succeed({}) : Effect.promise(() => readFile(path, "utf8").then(tokensOf, () => ({})))
