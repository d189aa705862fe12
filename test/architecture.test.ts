/** The picture in docs/architecture.md, held: which room may import which, and what each may know of the outside. */
import { readdirSync, readFileSync } from "node:fs"
import { builtinModules } from "node:module"
import { dirname, join, relative, sep } from "node:path"
import { assert, describe, expect, it } from "vitest"
import * as everything from "../src/index.ts"
import * as flow from "../src/flow/index.ts"
import * as io from "../src/io/index.ts"
import * as metrics from "../src/metrics/index.ts"
import * as model from "../src/model/index.ts"
import * as run from "../src/run/index.ts"
import * as streams from "../src/streams/index.ts"

const source = join(import.meta.dirname, "..", "src")

/** Room → the rooms that it may import. `.` is the files of `src` itself. */
const allowed: Readonly<Record<string, ReadonlyArray<string>>> = {
  engine: [],
  flow: [],
  metrics: ["flow"],
  model: ["flow", "engine"],
  streams: ["flow", "model"],
  io: ["flow", "model", "streams"],
  run: ["flow", "metrics", "model", "streams", "io", "."],
  cluster: ["io", "run"],
  cli: ["flow", "metrics", "model", "streams", "io", "run", "cluster", "engine", "."],
  ".": ["flow", "metrics", "model", "streams", "io", "run", "cli"]
}

/** Of the rooms below it, `io` sees types, and these values: shapes and names that files are checked against. */
const valuesForIo = ["model/ModelConfig.ts", "model/T5Encoder.ts", "model/Gpt2.ts", "flow/Samplers.ts"]

interface Import {
  readonly file: string
  readonly target: string
  readonly typeOnly: boolean
}

const files = readdirSync(source, { recursive: true, encoding: "utf8" })
  .filter((path) => /\.(ts|mjs)$/.test(path))
  .map((path) => path.split(sep).join("/"))

const statements = /^(?:import|export)\s+(type\s)?[^;"']*?from\s+"([^"]+)"|^import\s+"([^"]+)"|import\("([^"]+)"\)/gm

const importsOf = (file: string): ReadonlyArray<Import> =>
  Array.from(readFileSync(join(source, file), "utf8").replaceAll(/^ *(\/?\*|\/\/).*$/gm, "").matchAll(statements), ([statement, type, from, bare, dynamic]) => ({
    file,
    target: from ?? bare ?? dynamic ?? "",
    typeOnly: type !== undefined || /^(?:import|export) \{(?: type \w+,?)+ \}/.test(statement)
  }))

const imports = files.flatMap(importsOf)
const inside = imports
  .filter(({ target }) => target.startsWith("."))
  .map((each) => ({ ...each, target: relative(source, join(source, dirname(each.file), each.target)).split(sep).join("/") }))
const outside = imports.filter(({ target }) => !target.startsWith("."))

const room = (path: string): string => path.includes("/") ? path.split("/")[0]! : "."
const show = ({ file, target }: Import): string => `${file} imports ${target}`

describe("rooms", () => {
  it("are those of the picture, and the search finds their imports", () => {
    expect(new Set(files.map(room))).toEqual(new Set(Object.keys(allowed)))
    expect(inside.length).toBeGreaterThan(200)
    const missing = inside.filter(({ target }) => !files.includes(target)).map(show)
    expect(missing).toEqual([])
  })

  it.each(Object.entries(allowed))("%s imports only %j", (name, others) => {
    const wrong = inside.filter(({ file, target }) => room(file) === name && room(target) !== name && !others.includes(room(target)))
    expect(wrong.map(show)).toEqual([])
  })

  it("io sees types of other rooms, and the shapes and names that files are checked against", () => {
    const wrong = inside.filter(({ file, target, typeOnly }) => room(file) === "io" && room(target) !== "io" && !typeOnly && !valuesForIo.includes(target))
    expect(wrong.map(show)).toEqual([])
  })
})

describe("the outside", () => {
  const users = (target: string) => new Set(outside.filter((each) => each.target === target).map(({ file }) => room(file)))

  it("flow and metrics know no device, no file and no process", () => {
    const targets = (name: string) => new Set(outside.filter(({ file }) => room(file) === name).map(({ target }) => target))
    expect(targets("flow")).toEqual(new Set(["effect"]))
    expect(targets("metrics")).toEqual(new Set())
  })

  it("the engine needs nothing but Node", () => {
    const wrong = outside.filter(({ file, target }) => room(file) === "engine" && !builtinModules.includes(target.replace("node:", "")))
    expect(wrong.map(show)).toEqual([])
  })

  it("tensors stay in model and streams, parquet in io, the command line in cli, ONNX in model", () => {
    expect(users("@huggingface/transformers")).toEqual(new Set(["model"]))
    expect(users("@tensorflow/tfjs-core")).toEqual(new Set(["model", "streams"]))
    expect(users("hyparquet")).toEqual(new Set(["io"]))
    expect(users("effect/cli")).toEqual(new Set(["cli", "."]))
    expect(users("effect/cluster")).toEqual(new Set(["cluster"]))
  })
})

describe("the package", () => {
  it("exports every name of its rooms, each once", () => {
    const names = [flow, metrics, model, streams, io, run].flatMap((each) => Object.keys(each))
    assert.deepStrictEqual(Object.keys(everything).toSorted(), names.toSorted())
  })
})
