/**
 * Writes docs/run-file.md from the schema of run files: every key, what it means, its type and its default.
 *
 *     npm run docs
 */
import { writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { RunConfig } from "../src/io/index.ts"

const head = `# The run file

<!-- Written by \`npm run docs\` from src/io/runConfigSchema.ts; a test holds the two together. -->

One JSON or YAML file says what to train, on what, and how. It is checked before anything runs: defaults are filled in, ranges
are checked, an unknown key is refused with the nearest known name, and all problems are reported at once. Paths are relative to
the run file. With \`model.preset\`, \`hidden\`, \`depth\` and \`heads\` need not be given. \`runs/\` has examples; a checkpoint
keeps the run file that it was trained by.

A run file may put itself over a published run (the files of \`runs/presets/\`, which ship with the package) and say only
what is its own; what it says wins, key by key:

\`\`\`yaml
extends: owt-b
encoder: { path: ../t5-small }
data: { train: "openwebtext/*.parquet", heldOut: held-out.parquet, batchSize: 16 }
optimizer: { gradientAccumulation: 32 }
\`\`\`

A run that counts in epochs (\`data.epochs\`, \`optimizer.warmupEpochs\`) has its steps counted when it starts: the updates of
\`batchSize × gradientAccumulation\` rows that its data fills. Packed text is judged by its first 2,048 documents.
`

const sectionOf = (place: string): string => place.split(".").slice(0, -1).join(".")

const cell = (text: string): string => text.replaceAll("|", "\\|")

const standard = ({ default: value, required }: RunConfig.KeyDescription): string =>
  required ? "**must be given**" : value === undefined ? "" : `\`${cell(value)}\``

const row = (key: RunConfig.KeyDescription): string =>
  `| \`${key.place.split(".").at(-1)}\` | ${cell(key.description)} | ${cell(key.type)} | ${standard(key)} |`

const isSection = ({ type }: RunConfig.KeyDescription): boolean => type === "section" || type === "list of sections"

/** A key that stands in several variants of a section, as one. */
const merged = (keys: ReadonlyArray<RunConfig.KeyDescription>): RunConfig.KeyDescription => ({
  ...keys[0]!,
  description: [...new Set(keys.map(({ description }) => description))].join(" "),
  type: [...new Set(keys.map(({ type }) => type))].join(" | ")
})

/** The keys right under `section`. */
const keysOf = (all: ReadonlyArray<RunConfig.KeyDescription>, section: string): ReadonlyArray<RunConfig.KeyDescription> =>
  [...Map.groupBy(all.filter(({ place }) => sectionOf(place) === section), ({ place }) => place).values()].map(merged)

const table = (keys: ReadonlyArray<RunConfig.KeyDescription>): string =>
  ["| key | meaning | type | default |", "| --- | --- | --- | --- |", ...keys.map(row)].join("\n")

/** The whole document. */
export const describeRunFile = (): string => {
  const all = RunConfig.describe()
  const sections = all.filter(isSection)
  const part = ({ default: value, description, place }: RunConfig.KeyDescription): string =>
    `## ${place}\n\n${description}${value === undefined ? "" : ` Default: \`${value}\`.`}\n\n${table(keysOf(all, place).filter((key) => !isSection(key)))}\n`
  return [head, table(keysOf(all, "")), "", ...sections.map(part)].join("\n")
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(new URL("../docs/run-file.md", import.meta.url), describeRunFile())
