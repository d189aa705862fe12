/**
 * The dictionary of `trans-de-en` (Ding): `German | German :: English | English` on a line, the n-th of one for the n-th
 * of the other; alternatives with semicolons between them.
 */
import { oneLine } from "./text.ts"

/** Notes on grammar, field and usage: {n}, [cook.], (Zoologie), <old spelling>, /abbreviation/. */
const notes = /\{[^}]*\}|\[[^\]]*\]|\([^)]*\)|<[^>]*>|\/[^/]*\//gu

/** Placeholders and alternatives within a phrase, of which no plain sentence can be made. */
const open = /\/|\b(?:etw|jd|jdm|jdn|jds|sth|sb|sbs)\b|…|\.\.\./u

const isSentence = (text: string): boolean => /^\p{Lu}.{8,}[.!?]$/u.test(text) && text.split(" ").length >= 3 && !open.test(text)

const first = (part: string): string => oneLine(part.replaceAll(/(?<![\w.])\(([^)]*)\)/gu, "").replaceAll(notes, "").split(";")[0]!)

/** The whole sentences of a dictionary's line, German and English; lines whose halves differ in number have none. */
export const sentencesOfLine = (line: string): ReadonlyArray<readonly [german: string, english: string]> => {
  if (line.startsWith("#")) return []
  const [german = "", english = ""] = line.split(" :: ")
  const from = german.split(" | ")
  const to = english.split(" | ")
  if (from.length !== to.length) return []
  return from.map((part, i) => [first(part), first(to[i]!)] as const).filter(([source, target]) => isSentence(source) && isSentence(target))
}
