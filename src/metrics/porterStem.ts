/**
 * Porter's stemmer with the extensions of NLTK, which ROUGE compares words by.
 *
 * @source M. F. Porter, "An algorithm for suffix stripping", Program 14.3 (1980); `nltk`, `stem/porter.py`, mode
 * `NLTK_EXTENSIONS`
 * @since 0.1.0
 */

const irregular: Readonly<Record<string, string>> = {
  sky: "sky", skies: "sky", dying: "die", lying: "lie", tying: "tie", news: "news", innings: "inning", inning: "inning",
  outings: "outing", outing: "outing", cannings: "canning", canning: "canning", howe: "howe", proceed: "proceed",
  exceed: "exceed", succeed: "succeed"
}

/** Whether each letter is a consonant. A y is one where it begins the word or follows a vowel; digits are. */
const consonants = (word: string): ReadonlyArray<boolean> => {
  const flags: Array<boolean> = []
  for (const letter of word) flags.push(letter === "y" ? flags.length === 0 || !flags.at(-1)! : !"aeiou".includes(letter))
  return flags
}

/** m in [C](VC)^m[V]: how often a consonant follows a vowel. */
const measure = (stem: string): number => consonants(stem).filter((isConsonant, i, flags) => isConsonant && i > 0 && !flags[i - 1]!).length

const containsVowel = (stem: string): boolean => consonants(stem).includes(false)

const endsWithDoubleConsonant = (word: string): boolean => word.length >= 2 && word.at(-1) === word.at(-2) && consonants(word).at(-1)!

/** Consonant, vowel, consonant other than w, x, y at the end; or a word of a vowel and a consonant. */
const endsConsonantVowelConsonant = (word: string): boolean => {
  const flags = consonants(word)
  if (word.length === 2) return !flags[0]! && flags[1]!
  return word.length >= 3 && flags.at(-3)! && !flags.at(-2)! && flags.at(-1)! && !"wxy".includes(word.at(-1)!)
}

/** A suffix, what takes its place, and what the stem before it has to be. */
type Rule = readonly [suffix: string, replacement: string, condition: (stem: string, word: string) => boolean]

const always = () => true
const measured = (stem: string) => measure(stem) > 0
const measuredTwice = (stem: string) => measure(stem) > 1

/** Applies the first rule whose suffix the word has; if its condition fails, no other is tried. */
const apply = (rules: ReadonlyArray<Rule>, word: string): string => {
  const rule = rules.find(([suffix]) => word.endsWith(suffix))
  if (rule === undefined) return word
  const [suffix, replacement, condition] = rule
  const stem = word.slice(0, word.length - suffix.length)
  return condition(stem, word) ? stem + replacement : word
}

const plurals: ReadonlyArray<Rule> = [["sses", "ss", always], ["ies", "i", always], ["ss", "ss", always], ["s", "", always]]

const step1a = (word: string): string => word.length === 4 && word.endsWith("ies") ? `${word[0]}ie` : apply(plurals, word)

const restorations: ReadonlyArray<Rule> = [["at", "ate", always], ["bl", "ble", always], ["iz", "ize", always]]

/** Mends a stem that lost `ed` or `ing`: conflat → conflate, hopp → hop, fil → file. */
const restore = (stem: string): string => {
  if (restorations.some(([suffix]) => stem.endsWith(suffix))) return apply(restorations, stem)
  if (endsWithDoubleConsonant(stem)) return "lsz".includes(stem.at(-1)!) ? stem : stem.slice(0, -1)
  return measure(stem) === 1 && endsConsonantVowelConsonant(stem) ? `${stem}e` : stem
}

const step1b = (word: string): string => {
  if (word.endsWith("ied")) return word.slice(0, word.length === 4 ? -1 : -2)
  if (word.endsWith("eed")) return measured(word.slice(0, -3)) ? word.slice(0, -1) : word
  const suffix = ["ed", "ing"].find((ending) => word.endsWith(ending) && containsVowel(word.slice(0, -ending.length)))
  return suffix === undefined ? word : restore(word.slice(0, -suffix.length))
}

const step1c = (word: string): string =>
  apply([["y", "i", (stem) => stem.length > 1 && consonants(stem).at(-1)!]], word)

const doubleSuffixes: ReadonlyArray<Rule> = [
  ["ational", "ate", measured], ["tional", "tion", measured], ["enci", "ence", measured], ["anci", "ance", measured],
  ["izer", "ize", measured], ["bli", "ble", measured], ["alli", "al", measured], ["entli", "ent", measured],
  ["eli", "e", measured], ["ousli", "ous", measured], ["ization", "ize", measured], ["ation", "ate", measured],
  ["ator", "ate", measured], ["alism", "al", measured], ["iveness", "ive", measured], ["fulness", "ful", measured],
  ["ousness", "ous", measured], ["aliti", "al", measured], ["iviti", "ive", measured], ["biliti", "ble", measured],
  ["fulli", "ful", measured],
  // The l belongs to the stem here, so that geology is treated as archaeology is.
  ["logi", "log", (_, word) => measured(word.slice(0, -3))]
]

const step2 = (word: string): string =>
  word.endsWith("alli") && measured(word.slice(0, -4)) ? step2(word.slice(0, -2)) : apply(doubleSuffixes, word)

const step3: ReadonlyArray<Rule> = [
  ["icate", "ic", measured], ["ative", "", measured], ["alize", "al", measured], ["iciti", "ic", measured],
  ["ical", "ic", measured], ["ful", "", measured], ["ness", "", measured]
]

const step4: ReadonlyArray<Rule> = [
  ...["al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent"].map((suffix): Rule => [suffix, "", measuredTwice]),
  ["ion", "", (stem) => measuredTwice(stem) && "st".includes(stem.at(-1)!)],
  ...["ou", "ism", "ate", "iti", "ous", "ive", "ize"].map((suffix): Rule => [suffix, "", measuredTwice])
]

const step5a = (word: string): string => {
  if (!word.endsWith("e")) return word
  const stem = word.slice(0, -1)
  const times = measure(stem)
  return times > 1 || (times === 1 && !endsConsonantVowelConsonant(stem)) ? stem : word
}

const step5b = (word: string): string => word.endsWith("ll") && measuredTwice(word.slice(0, -1)) ? word.slice(0, -1) : word

/** The stem of a word in lower case. */
export const porterStem = (word: string): string => {
  if (Object.hasOwn(irregular, word)) return irregular[word]!
  if (word.length <= 2) return word
  return step5b(step5a(apply(step4, apply(step3, step2(step1c(step1b(step1a(word))))))))
}
