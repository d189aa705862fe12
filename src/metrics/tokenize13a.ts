/**
 * The tokenizer of BLEU: `mteval-v13a`, which the shared tasks of WMT score with.
 *
 * @source `sacrebleu`, `tokenizers/tokenizer_13a.py`, `tokenizers/tokenizer_re.py`
 * @since 0.1.0
 */
import { wordsOf } from "./whitespace.ts"

/** Ampersands come second: `&amp;lt;` reads as `<`, as in the original. */
const entities = [["&quot;", "\""], ["&amp;", "&"], ["&lt;", "<"], ["&gt;", ">"]] as const

const separations = [
  // ASCII punctuation and symbols, except the apostrophe, comma, dash and period.
  [/([{-~[-` -&(-+:-@/])/gu, " $1 "],
  // A period or comma behind anything but a digit, before anything but a digit; a dash behind a digit.
  [/([^0-9])([.,])/gu, "$1 $2 "],
  [/([.,])([^0-9])/gu, " $1 $2"],
  [/([0-9])(-)/gu, "$1 $2 "]
] as const

/** The tokens of one segment. */
export const tokenize13a = (segment: string): ReadonlyArray<string> => {
  let text = segment.replaceAll("<skipped>", "").replaceAll("-\n", "").replaceAll("\n", " ")
  for (const [entity, character] of entities) text = text.replaceAll(entity, character)
  text = ` ${text} `
  for (const [pattern, separated] of separations) text = text.replaceAll(pattern, separated)
  return wordsOf(text)
}
