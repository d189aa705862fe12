/**
 * Package descriptions as apt's indices have them: a synopsis of one line and a long description in paragraphs.
 */
import { oneLine } from "./text.ts"

/** A package in one language. */
export interface Description {
  readonly package: string
  /** Hash of the English original; a translation carries that of the text it translates. */
  readonly md5: string
  readonly synopsis: string
  /** One string a paragraph; lists and code, which are indented further, are left out. */
  readonly paragraphs: ReadonlyArray<string>
}

const field = (stanza: string, name: string): string | undefined => new RegExp(`^${name}: (.*)$`, "mu").exec(stanza)?.[1]

const isProse = (paragraph: string): boolean => paragraph !== "" && !/^ {2}/mu.test(paragraph)

/** The stanza of an index (`Translation-xx`), or nothing where it lacks a field. */
export const parseDescription = (stanza: string, language: string): Description | undefined => {
  const name = field(stanza, "Package")
  const md5 = field(stanza, "Description-md5")
  const described = new RegExp(`^Description-${language}: (.*)\\n?((?:^ .*\\n?)*)`, "mu").exec(stanza)
  if (name === undefined || md5 === undefined || described === null) return undefined
  const paragraphs = described[2]!.split(/^ \.\s*$/mu).map((part) => part.replaceAll(/^\n|\n$/gu, "")).filter(isProse)
  return { package: name, md5, synopsis: oneLine(described[1]!), paragraphs: paragraphs.map(oneLine) }
}

/** All descriptions of an index. */
export const parseIndex = (text: string, language: string): ReadonlyArray<Description> =>
  text.split("\n\n").map((stanza) => parseDescription(stanza, language)).filter((found) => found !== undefined)

/** Each binary package's source package, from a `Packages` index. */
export const sourcePackages = (text: string): ReadonlyMap<string, string> =>
  new Map(text.split("\n\n").flatMap((stanza) => {
    const name = field(stanza, "Package")
    return name === undefined ? [] : [[name, (field(stanza, "Source") ?? name).split(" ")[0]!] as const]
  }))

/** Synopsis with synopsis; paragraph with paragraph where both have equally many. */
export const alignDescriptions = (source: Description, target: Description): ReadonlyArray<readonly [source: string, target: string]> => [
  [source.synopsis, target.synopsis],
  ...(source.paragraphs.length === target.paragraphs.length ? source.paragraphs.map((text, i) => [text, target.paragraphs[i]!] as const) : [])
]
