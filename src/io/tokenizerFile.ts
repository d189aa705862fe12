/**
 * Which tokens a vocabulary's folder names for padding and for the end of a text.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import type { SpecialTokens } from "../model/Tokenizer.ts"
import { parseJson, readSmallText } from "./smallText.ts"

const contentOf = (token: unknown): string | undefined => {
  if (typeof token === "string") return token
  const content = (token as { readonly content?: unknown } | null | undefined)?.content
  return typeof content === "string" ? content : undefined
}

const tokensOf = (text: string): SpecialTokens => {
  const { eos_token, pad_token, sep_token } = parseJson(text) as Record<string, unknown>
  // BERT and its kin end texts with their separator.
  return { pad: contentOf(pad_token), endOfSequence: contentOf(eos_token) ?? contentOf(sep_token) }
}

/**
 * The tokens that a `tokenizer_config.json` names; none of them where there is no such file. Fails with what is wrong with
 * one that cannot be read: texts would be padded and ended with other tokens than the model knows.
 */
export const specialTokens = (path: string | undefined): Effect.Effect<SpecialTokens, string> =>
  path === undefined ? Effect.succeed({}) : Effect.tryPromise({
    try: async () => tokensOf(await readSmallText(path)),
    catch: (cause) => cause instanceof Error ? cause.message : String(cause)
  })
