/**
 * The two tasks' pairs from what Debian ships: translation from German to English, and a package's synopsis.
 */
import { alignDescriptions, type Description } from "./descriptions.ts"
import { sentencesOfLine } from "./dictionary.ts"
import { alignPages } from "./help.ts"
import type { Pair } from "./Pair.ts"
import { alignSentences, beginning, form, isTranslation, oneLine } from "./text.ts"

type Texts = readonly [source: string, target: string]

/** Sentences and their translations, with what must stay together: equal texts of either language and equal beginnings. */
const translations = (source: string, texts: ReadonlyArray<Texts>, family: ReadonlyArray<string> = []): ReadonlyArray<Pair> =>
  texts.flatMap(([from, to]) => alignSentences(from, to)).filter(([from, to]) => isTranslation(from, to)).map(([input, output]) => ({
    input,
    output,
    source,
    families: [`de ${form(input)}`, `en ${form(output)}`, ...(form(input).split(" ").length > 6 ? [`begins ${beginning(input, 6)}`] : []), ...family]
  }))

/** Pairs of a help page, given in both languages. */
export const helpPairs = (german: string, english: string): ReadonlyArray<Pair> => translations("libreoffice-help", alignPages(german, english))

/** Pairs of the dictionary: whole sentences; those of one entry stay together. */
export const dictionaryPairs = (dictionary: string): ReadonlyArray<Pair> =>
  dictionary.split("\n").flatMap((line, number) => translations("trans-de-en", sentencesOfLine(line), [`entry ${number}`]))

const byText = ({ md5, package: name }: Description): string => `${name} ${md5}`

/** Pairs of package descriptions, where the translation is that of the present English text. */
export const descriptionPairs = (german: ReadonlyArray<Description>, english: ReadonlyArray<Description>): ReadonlyArray<Pair> => {
  const originals = new Map(english.map((description) => [byText(description), description]))
  return german.flatMap((description) => {
    const original = originals.get(byText(description))
    return original === undefined ? [] : translations("package-descriptions", alignDescriptions(description, original))
  })
}

/** Packages whose synopsis says their role and not what they are for. */
const roles = /^lib|-(?:dev|doc|dbg|data|common|utils?|bin|tools?|l10n|i18n|locales?|dkms|all|perl|java|udeb)(?:-|$)|^(?:python3?|ruby|golang|node|r-cran|r-bioc|php|haskell|texlive|fonts|task|xfonts|hunspell|aspell|myspell|hyphen|mythes|language|manpages|gcc|g\+\+|gfortran|gnat|gdc|gobjc|gm2)-|-(?:el|sharp)$/u

/** Long description → synopsis, for packages of which that is a summary; those of one source package stay together. */
export const synopsisPairs = (english: ReadonlyArray<Description>, sources: ReadonlyMap<string, string>): ReadonlyArray<Pair> =>
  english.filter(({ package: name, paragraphs }) => !roles.test(name) && paragraphs.length > 0).map(({ package: name, paragraphs, synopsis }) => {
    const input = oneLine(paragraphs.join(" "))
    return {
      input,
      output: synopsis,
      source: "package-descriptions",
      families: [`source ${sources.get(name) ?? name}`, `synopsis ${form(synopsis)}`, `begins ${form(input).slice(0, 100)}`]
    }
  }).filter(({ input, output }) => input.split(" ").length >= 12 && output.split(" ").length >= 2)

/** One pair for each input and each output that differ in form, the first of them. */
export const withoutRepeats = (pairs: ReadonlyArray<Pair>): ReadonlyArray<Pair> => {
  const seen = new Set<string>()
  return pairs.filter(({ input, output }) => {
    const keys = [`> ${form(input)}`, `< ${form(output)}`]
    if (keys.some((key) => seen.has(key))) return false
    keys.forEach((key) => seen.add(key))
    return true
  })
}
