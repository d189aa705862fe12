/**
 * Schema issues as sentences: each names the key, what is expected and what was found.
 *
 * @since 0.1.0
 */
import type { SchemaAST, SchemaIssue } from "effect"
import { SchemaIssue as Issues } from "effect"
import { nearest } from "./nearest.ts"

type Path = ReadonlyArray<PropertyKey>

const format = Issues.makeFormatterDefault()

/** `data.train[0]`; the file itself where the path is empty. */
const dotted = (path: Path): string =>
  path.length === 0 ? "the run file" : path.reduce<string>((text, part) => text + step(part, text === ""), "")

const step = (part: PropertyKey, first: boolean) => typeof part === "number" ? `[${part}]` : `${first ? "" : "."}${String(part)}`

const valueAt = (input: unknown, path: Path): unknown =>
  path.reduce<unknown>((value, part) => (value as Record<PropertyKey, unknown> | undefined)?.[part], input)

const shortened = (text: string) => text.length > 60 ? `${text.slice(0, 57)}…` : text

const inWords = (value: unknown): string => {
  if (value === null) return "nothing (null)"
  if (value === undefined) return "nothing"
  if (Array.isArray(value)) return "a list"
  if (typeof value === "object") return "a section"
  return typeof value === "string" ? `the text ${shortened(JSON.stringify(value))}` : String(value)
}

const inOurTerms = (expected: string): string =>
  expected.replace(/^Expected /, "").replace(/\s+at \[.*$/s, "")
    .replace(/\bstring\b/g, "text").replace(/\barray\b/g, "list")
    .replace(/\bobject\b|\bRunConfig\b/g, "section")
    .replace(/^an? value/, "a number").replace(/\{ readonly "(\w+)": ("\w+")[^}]*\}/g, "$1: $2")

const fieldNames = (ast: SchemaAST.AST): ReadonlyArray<string> =>
  ast._tag === "Objects" ? ast.propertySignatures.map((property) => String(property.name)) :
  ast._tag === "Union" ? ast.types.flatMap(fieldNames) : []

const unknownKey = (path: Path, ast: SchemaAST.AST, elsewhere: ReadonlyArray<string>): string => {
  const name = String(path.at(-1))
  const known = fieldNames(ast)
  const close = nearest(name, known)
  const section = path.length > 1 ? ` in ${dotted(path.slice(0, -1))}` : ""
  const sameName = elsewhere.filter((place) => lastPart(place) === name)
  if (sameName.length > 0) return `${dotted(path)}: unknown key "${name}"${section}; it belongs at ${sameName.join(" or ")}`
  if (close !== undefined) return `${dotted(path)}: unknown key "${name}"${section}; did you mean "${close}"?`
  const place = nearestPlace(name, elsewhere)
  if (place !== undefined) return `${dotted(path)}: unknown key "${name}"${section}; did you mean ${place}?`
  return `${dotted(path)}: unknown key "${name}"${section}; known keys are ${known.join(", ")}`
}

const lastPart = (place: string) => place.slice(place.lastIndexOf(".") + 1)

const nearestPlace = (name: string, places: ReadonlyArray<string>): string | undefined => {
  const close = nearest(name, places.map(lastPart))
  return places.find((place) => lastPart(place) === close)
}

const missing = (path: Path): string =>
  typeof path.at(-1) === "number" ? `${dotted(path.slice(0, -1))}: the list is empty` : `${dotted(path)}: this key must be given`

/** One sentence for every issue, in the order found; `places` are all keys of the schema, dotted. */
export const problemsOf = (
  issue: SchemaIssue.Issue,
  input: unknown,
  places: ReadonlyArray<string>
): ReadonlyArray<string> => {
  const walk = (node: SchemaIssue.Issue, path: Path): ReadonlyArray<string> => {
    switch (node._tag) {
      case "Pointer":
        return walk(node.issue, [...path, ...node.path])
      case "Encoding":
        return walk(node.issue, path)
      case "Composite":
        return node.issues.flatMap((inner) => walk(inner, path))
      case "AnyOf":
        return node.issues.length > 0 ? node.issues.flatMap((inner) => walk(inner, path)) : [mismatch(node, path)]
      case "UnexpectedKey":
        return [unknownKey(path, node.ast, places)]
      case "MissingKey":
        return [missing(path)]
      default:
        return [mismatch(node, path)]
    }
  }
  const mismatch = (node: SchemaIssue.Issue, path: Path) =>
    `${dotted(path)}: expected ${inOurTerms(format(node))}, found ${inWords(valueAt(input, path))}`
  return walk(issue, [])
}
