/**
 * Plain text of the pairs: one line, comparable, in sentences.
 */

/** One line in NFC, without soft hyphens and doubled spaces. */
export const oneLine = (text: string): string => text.normalize("NFC").replaceAll("\u00AD", "").replace(/[\s\u00A0]+/gu, " ").trim()

/**
 * What two texts that say the same have in common: letters in lower case, every number as 0, nothing else. Texts of equal
 * form are never on both sides of a split.
 */
export const form = (text: string): string =>
  text.normalize("NFKC").toLowerCase().replace(/\p{N}+/gu, "0").replace(/[^\p{L}0]+/gu, " ").trim()

/** The first `words` words of a text's form: texts of one family begin alike. */
export const beginning = (text: string, words: number): string => form(text).split(" ").slice(0, words).join(" ")

/** The sentences of a text, cut behind `.`, `!`, `?` or `:` that a capital, digit or quotation mark follows. */
export const sentences = (text: string): ReadonlyArray<string> =>
  oneLine(text).split(/(?<=[^.\s]{2}[.!?:]["”“»]?) (?=["„“«(]?[\p{Lu}\p{N}])/u).filter((sentence) => sentence !== "")

/** Paragraph by paragraph, sentence by sentence where both texts have equally many, else the whole. */
export const alignSentences = (source: string, target: string): ReadonlyArray<readonly [source: string, target: string]> => {
  const from = sentences(source)
  const to = sentences(target)
  return from.length === to.length
    ? from.map((sentence, i) => [sentence, to[i]!] as const)
    : [[oneLine(source), oneLine(target)] as const]
}

const share = (text: string, pattern: RegExp): number => (text.match(pattern)?.length ?? 0) / Math.max(1, text.length)

/** Whether two texts can be a sentence and its translation: words, of comparable length, and not the same. */
export const isTranslation = (source: string, target: string): boolean => {
  const ratio = source.length / Math.max(1, target.length)
  return form(source).includes(" ") && form(target).includes(" ") &&
    share(source, /\p{L}/gu) > 0.6 && share(target, /\p{L}/gu) > 0.6 &&
    ratio > 0.5 && ratio < 2.2 &&
    form(source) !== form(target)
}
