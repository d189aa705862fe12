/** Run files, as JSON and as YAML: what the schema refuses, and what the languages allow. */
import { Effect } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { parse, stringify } from "yaml"
import { RunConfig } from "../../../src/io/index.ts"
import { runFile as tinyRun } from "../../cli/tinyRun.ts"
import { mutate } from "../bytes.ts"
import { type Json, mutateJson } from "../json.ts"
import { type Draw, pick, type Reader, require } from "../Reader.ts"
import { place } from "./folder.ts"

const runs = join(import.meta.dirname, "../../../runs")
const yamls = readdirSync(runs).filter((name) => name.endsWith(".yaml")).map((name) => readFileSync(join(runs, name), "utf8"))
const values = [...yamls.map((text) => parse(text) as Json), tinyRun() as Json]

/** Billion laughs: every line names the one before it nine times. */
const laughs = (levels: number) =>
  ["l0: &l0 [lol]", ...Array.from({ length: levels }, (_, i) => `l${i + 1}: &l${i + 1} [${Array.from({ length: 9 }, () => `*l${i}`).join(", ")}]`)].join("\n")

const fragments: ReadonlyArray<(draw: Draw) => string> = [
  (draw) => laughs(1 + draw(12)),
  (draw) => "[".repeat(pick(draw, [100, 5_000, 100_000])),
  (draw) => "{a: ".repeat(pick(draw, [100, 5_000, 50_000])),
  (draw) => Array.from({ length: pick(draw, [100, 2_000]) }, (_, i) => `${" ".repeat(i)}a:`).join("\n"),
  (draw) => "- ".repeat(pick(draw, [100, 5_000, 50_000])),
  () => "a: &a {b: *a}", () => "<<: *x", () => "<<: {seed: 1}", () => "? [a, b]\n: 1", () => "!!binary aaaa", () => "!!set {a, b}", () => "!<tag:yaml.org,2002:js/function> 'x'",
  () => "--- a\n--- b\n...", () => "%YAML 9.9\n---", () => "\ttab: 1", () => "__proto__: {polluted: true}", () => "a: .inf", () => "seed: 0x7fffffffffffffff", () => "seed: 1_000", () => "&a a: *a",
  (draw) => `key: "${"\\u0041".repeat(pick(draw, [10, 10_000]))}"`, (draw) => `? ${"k".repeat(pick(draw, [10, 2_000]))}\n: v`, (draw) => "#".repeat(draw(50_000)), (draw) => `a: |\n${" ".repeat(draw(2_000))}`
]

const withFragment = (text: string, draw: Draw): string => {
  const lines = text.split("\n")
  return lines.toSpliced(draw(lines.length + 1), draw(2), pick(draw, fragments)(draw)).join("\n")
}

const asYaml = (json: string): string => {
  try {
    return stringify(JSON.parse(json))
  } catch {
    return json
  }
}

const text = (draw: Draw): readonly [name: string, bytes: Uint8Array] => {
  switch (draw(5)) {
    case 0: return ["run.yaml", mutate(Buffer.from(pick(draw, yamls)), draw)]
    case 1: return ["run.yaml", Buffer.from(withFragment(pick(draw, yamls), draw))]
    case 2: return ["run.yaml", Buffer.from(asYaml(mutateJson(pick(draw, values), draw)))]
    case 3: return ["run.json", mutate(Buffer.from(JSON.stringify(pick(draw, values))), draw)]
    default: return ["run.json", Buffer.from(mutateJson(pick(draw, values), draw))]
  }
}

export const runFile: Reader = {
  make: (draw) => Object.fromEntries([text(draw)]),
  read: (from) =>
    Effect.suspend(() => {
      const [[name, bytes]] = Object.entries(from) as [[string, Uint8Array]]
      return Effect.map(RunConfig.load(place(name, bytes)), ({ model, optimizer }) => {
        require(Number.isSafeInteger(model.hidden) && optimizer.learningRate >= 0, "it says no run")
        require(!("polluted" in {}), "it changed the prototype of all objects")
      })
    }),
  isTyped: (error) => error instanceof RunConfig.RunConfigError
}
