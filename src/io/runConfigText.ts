/**
 * The text of a run file, as JSON or YAML.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { readFile } from "node:fs/promises"
import { extname } from "node:path"
import { parseDocument } from "yaml"
import { attempt } from "./Disk.ts"
import { duplicateKey } from "./duplicateKeys.ts"
import { failing, type RunConfigError } from "./RunConfigError.ts"

const parseJson = (file: string, text: string) =>
  Effect.try({
    try: () => {
      const value = JSON.parse(text) as unknown
      const twice = duplicateKey(text)
      if (twice !== undefined) throw new Error(`the key "${twice}" is given twice`)
      return value
    },
    catch: (cause) => failing(file, [`this is no JSON (${cause instanceof Error ? cause.message : String(cause)})`])
  })

const parseYaml = (file: string, text: string) =>
  Effect.gen(function*() {
    const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true })
    const found = [...document.errors, ...document.warnings].map((error) => error.message.split("\n")[0]!.replace(/:$/, ""))
    if (found.length > 0) return yield* failing(file, found.map((problem) => `this is no YAML (${problem})`))
    return yield* Effect.try({
      // Few aliases: a run file needs none, and many would be an attempt to fill the memory.
      try: () => document.toJS({ maxAliasCount: 20 }) as unknown,
      catch: (cause) => failing(file, [`this is no YAML (${cause instanceof Error ? cause.message : String(cause)})`])
    })
  })

const parsers: Readonly<Record<string, typeof parseJson>> = { ".json": parseJson, ".yaml": parseYaml, ".yml": parseYaml }

const largestFile = 1024 * 1024

const readText = (file: string) =>
  Effect.gen(function*() {
    const text = yield* Effect.mapError(
      attempt("read", file, () => readFile(file, "utf8")),
      (error) => failing(file, [`the file cannot be read (${error.code}): ${error.remedy}`])
    )
    if (text.length <= largestFile) return text
    return yield* failing(file, [`the file has ${text.length} characters, which is no run file`])
  })

/** Reads and parses a file by its extension (.json, .yaml, .yml); nothing is checked but its syntax. */
export const readRunFile = (file: string): Effect.Effect<unknown, RunConfigError> =>
  Effect.gen(function*() {
    const parse = parsers[extname(file).toLowerCase()]
    if (parse === undefined) return yield* failing(file, ["a run file ends in .json, .yaml or .yml"])
    return yield* parse(file, yield* readText(file))
  })
