/**
 * The text of a run file, as JSON or YAML.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { extname } from "node:path"
import { parseDocument } from "yaml"
import { explain } from "./Disk.ts"
import { duplicateKey } from "./duplicateKeys.ts"
import { failing, type RunConfigError } from "./RunConfigError.ts"
import { checkYamlDepth, parseJson as parseSmall, readSmallText } from "./smallText.ts"

const reasonOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

const parseJson = (file: string, text: string) =>
  Effect.try({
    try: () => {
      const value = parseSmall(text)
      const twice = duplicateKey(text)
      if (twice !== undefined) throw new Error(`the key "${twice}" is given twice`)
      return value
    },
    catch: (cause) => failing(file, [`this is no JSON (${reasonOf(cause)})`])
  })

const parseYaml = (file: string, text: string) =>
  Effect.gen(function*() {
    const noYaml = (cause: unknown) => failing(file, [`this is no YAML (${reasonOf(cause)})`])
    const document = yield* Effect.try({
      try: () => {
        checkYamlDepth(text)
        return parseDocument(text, { prettyErrors: true, uniqueKeys: true })
      },
      catch: noYaml
    })
    const found = [...document.errors, ...document.warnings].map((error) => error.message.split("\n")[0]!.replace(/:$/, ""))
    if (found.length > 0) return yield* failing(file, found.map((problem) => `this is no YAML (${problem})`))
    return yield* Effect.try({
      // Few aliases: a run file needs none, and many would be an attempt to fill the memory.
      try: () => document.toJS({ maxAliasCount: 20 }) as unknown,
      catch: noYaml
    })
  })

const parsers: Readonly<Record<string, typeof parseJson>> = { ".json": parseJson, ".yaml": parseYaml, ".yml": parseYaml }

/** A hundred times the longest run file there is. */
const largestFile = 256 * 1024

/** What Node's own errors are explained by; a file that is too large explains itself. */
const unreadable = (file: string) => (cause: unknown): RunConfigError => {
  if ((cause as NodeJS.ErrnoException).code === undefined) return failing(file, [`the file is no run file: ${reasonOf(cause)}`])
  const { code, remedy } = explain("read", file)(cause)
  return failing(file, [`the file cannot be read (${code}): ${remedy}`])
}

const readText = (file: string) => Effect.tryPromise({ try: () => readSmallText(file, largestFile), catch: unreadable(file) })

/** Reads and parses a file by its extension (.json, .yaml, .yml); nothing is checked but its syntax. */
export const readRunFile = (file: string): Effect.Effect<unknown, RunConfigError> =>
  Effect.gen(function*() {
    const parse = parsers[extname(file).toLowerCase()]
    if (parse === undefined) return yield* failing(file, ["a run file ends in .json, .yaml or .yml"])
    return yield* parse(file, yield* readText(file))
  })
