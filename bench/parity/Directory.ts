/** A directory of the reference's numbers: `manifest.json`, and one `<case>.safetensors` a case. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as tf from "@tensorflow/tfjs-core"
import type { HostTensor } from "../../src/model/Parameters.ts"

interface RecordedArray {
  readonly shape: ReadonlyArray<number>
  readonly data: Float32Array | Int32Array
}

/** The arrays of one case by name. Every lookup of a name that is not there throws. */
export interface Fixture {
  readonly name: string
  readonly names: ReadonlyArray<string>
  readonly has: (key: string) => boolean
  readonly floats: (key: string) => Float32Array
  readonly integers: (key: string) => Int32Array
  readonly shape: (key: string) => ReadonlyArray<number>
  /** On the current device; belongs to the caller. */
  readonly tensor: <T extends tf.Tensor>(key: string) => T
  /** All arrays whose name begins with `prefix`, without it. */
  readonly group: (prefix: string) => ReadonlyArray<HostTensor>
}

/** What the manifest says about an array, or about all whose name begins with what stands before a `*`. */
export interface ArrayDescription {
  readonly role: "param" | "input" | "draw" | "intermediate" | "output"
  readonly meaning?: string
}

/** A case's settings and single numbers; the caller knows which they are. */
export interface FixtureCase<Config = unknown, Scalars = unknown> {
  readonly name: string
  readonly group: string
  readonly desc?: string
  readonly config: Config
  readonly scalars: Scalars
  readonly arrays: Readonly<Record<string, ArrayDescription>>
}

/** An open directory. */
export interface Directory {
  readonly path: string
  readonly cases: ReadonlyArray<FixtureCase>
  /** Opens `<name>.safetensors`. */
  readonly fixture: (name: string) => Fixture
  /** Settings and single numbers of a case. */
  readonly fixtureCase: <Config, Scalars = unknown>(name: string) => FixtureCase<Config, Scalars>
  /** Names of the cases that begin with `prefix`; at least one. */
  readonly casesWith: (prefix: string) => ReadonlyArray<string>
  /** The content of `metrics.json`. */
  readonly metrics: <Recorded>() => Recorded
  /** Files and folders that belong to no case of the manifest. */
  readonly others: () => ReadonlyArray<string>
}

type Header = Record<string, { readonly dtype: string; readonly shape: Array<number>; readonly data_offsets: [number, number] }>

const elementsOf = (shape: ReadonlyArray<number>): number => shape.reduce((a, b) => a * b, 1)

const parseArray = (bytes: Uint8Array, dtype: string, shape: ReadonlyArray<number>, name: string): RecordedArray => {
  if (dtype !== "F32" && dtype !== "I32") throw new Error(`"${name}" is of type ${dtype}, not F32 or I32`)
  if (bytes.length !== 4 * elementsOf(shape)) throw new Error(`"${name}" has ${bytes.length} bytes, its shape [${shape.join(", ")}] needs ${4 * elementsOf(shape)}`)
  const { buffer } = new Uint8Array(bytes)
  return { shape, data: dtype === "I32" ? new Int32Array(buffer) : new Float32Array(buffer) }
}

const parse = (file: Buffer): Map<string, RecordedArray> => {
  const length = file.length < 8 ? Infinity : Number(file.readBigUInt64LE(0))
  if (8 + length > file.length) throw new Error("the file ends before its header does")
  const header = JSON.parse(file.subarray(8, 8 + length).toString("utf8")) as Header
  return new Map(
    Object.entries(header).filter(([name]) => name !== "__metadata__").map(([name, { data_offsets: [begin, end], dtype, shape }]) =>
      [name, parseArray(file.subarray(8 + length + begin, 8 + length + end), dtype, shape, name)]
    )
  )
}

const fixtureOf = (name: string, arrays: ReadonlyMap<string, RecordedArray>): Fixture => {
  const get = (key: string): RecordedArray => {
    const found = arrays.get(key)
    if (found === undefined) throw new Error(`${name} has no array "${key}"`)
    return found
  }
  return {
    name,
    names: [...arrays.keys()],
    has: (key) => arrays.has(key),
    floats: (key) => Float32Array.from(get(key).data),
    integers: (key) => Int32Array.from(get(key).data),
    shape: (key) => get(key).shape,
    tensor: <T extends tf.Tensor>(key: string) => {
      const { data, shape } = get(key)
      return tf.tensor(data, [...shape], data instanceof Int32Array ? "int32" : "float32") as T
    },
    group: (prefix) =>
      [...arrays].filter(([key]) => key.startsWith(prefix)).map(([key, { data, shape }]) => ({
        name: key.slice(prefix.length),
        shape,
        data: Float32Array.from(data)
      }))
  }
}

const readManifest = (path: string): ReadonlyArray<FixtureCase> => {
  const manifest = JSON.parse(readFileSync(join(path, "manifest.json"), "utf8")) as { readonly cases?: ReadonlyArray<Partial<FixtureCase>> }
  if (!Array.isArray(manifest.cases) || manifest.cases.length === 0) throw new Error(`${path}/manifest.json describes no cases`)
  return manifest.cases.map((each) => {
    if (typeof each.name !== "string") throw new Error(`${path}/manifest.json has a case without a name`)
    return { group: "", config: {}, scalars: {}, arrays: {}, ...each, name: each.name }
  })
}

const metricsFile = "metrics.json"

/** The metrics of texts, which the manifest does not describe. */
const metricsCases = (path: string): ReadonlyArray<FixtureCase> =>
  existsSync(join(path, metricsFile)) ? [{ name: "metrics", group: "metrics", config: {}, scalars: {}, arrays: { texts: { role: "input" } } }] : []

/** Opens a directory; throws when it has no manifest with cases. A case's file is read when it is asked for. */
export const openDirectory = (path: string): Directory => {
  const described = readManifest(path)
  const cases = [...described, ...described.some(({ name }) => name === "metrics") ? [] : metricsCases(path)]
  const owned = (entry: string): boolean =>
    /^(README|manifest\.json)/.test(entry) || entry === metricsFile || cases.some(({ name }) => entry === `${name}.safetensors`) ||
    cases.some(({ name }) => name.endsWith("_expected") && entry.startsWith(name.replace(/_expected$/, "")))
  return {
    path,
    cases,
    fixture: (name) => {
      const file = join(path, `${name}.safetensors`)
      if (!existsSync(file)) throw new Error(`${file} is missing`)
      return fixtureOf(name, parse(readFileSync(file)))
    },
    fixtureCase: <Config, Scalars>(name: string) => {
      const found = cases.find((each) => each.name === name)
      if (found === undefined) throw new Error(`no case "${name}" in the manifest`)
      return found as FixtureCase<Config, Scalars>
    },
    casesWith: (prefix) => {
      const names = cases.map(({ name }) => name).filter((name) => name.startsWith(prefix))
      if (names.length === 0) throw new Error(`no case begins with "${prefix}"`)
      return names
    },
    metrics: <Recorded>() => JSON.parse(readFileSync(join(path, metricsFile), "utf8")) as Recorded,
    others: () => readdirSync(path).filter((entry) => !owned(entry)).sort()
  }
}

/** What the manifest says about array `key`; its own entry before that of a prefix, a longer prefix before a shorter one. */
export const descriptionOf = ({ arrays }: FixtureCase, key: string): ArrayDescription | undefined => {
  if (Object.hasOwn(arrays, key)) return arrays[key]
  const [, longest] = Object.entries(arrays)
    .filter(([name]) => name.endsWith("*") && key.startsWith(name.slice(0, -1)))
    .sort(([a], [b]) => b.length - a.length)[0] ?? []
  return longest
}
