/** Reads the reference's numbers in test/fixtures; its README says what they are. */
import { readFileSync } from "node:fs"
import * as tf from "@tensorflow/tfjs-core"
import type { HostTensor } from "../../src/model/Parameters.ts"

export interface FixtureArray {
  readonly shape: ReadonlyArray<number>
  readonly data: Float32Array | Int32Array
}

/** One case: its arrays by name. Every lookup of a name that is not there throws. */
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

/** A case's settings and single numbers; the caller knows which they are. */
export interface FixtureCase<Config = unknown, Scalars = unknown> {
  readonly name: string
  readonly config: Config
  readonly scalars: Scalars
}

const at = (name: string) => new URL(`../fixtures/${name}`, import.meta.url)

const manifest = JSON.parse(readFileSync(at("manifest.json"), "utf8")) as { readonly cases: ReadonlyArray<FixtureCase> }

/** Settings and single numbers of a case. */
export const fixtureCase = <Config, Scalars = unknown>(name: string): FixtureCase<Config, Scalars> => {
  const found = manifest.cases.find((each) => each.name === name)
  if (found === undefined) throw new Error(`no case "${name}" in the manifest`)
  return found as FixtureCase<Config, Scalars>
}

/** Names of the cases that begin with `prefix`. */
export const casesWith = (prefix: string): ReadonlyArray<string> => {
  const names = manifest.cases.map(({ name }) => name).filter((name) => name.startsWith(prefix))
  if (names.length === 0) throw new Error(`no case begins with "${prefix}"`)
  return names
}

type Header = Record<string, { readonly dtype: string; readonly shape: Array<number>; readonly data_offsets: [number, number] }>

const parse = (file: Buffer): Map<string, FixtureArray> => {
  const length = Number(file.readBigUInt64LE(0))
  const header = JSON.parse(file.subarray(8, 8 + length).toString("utf8")) as Header
  return new Map(
    Object.entries(header).filter(([name]) => name !== "__metadata__").map(([name, { data_offsets: [begin, end], dtype, shape }]) => {
      const bytes = new Uint8Array(file.subarray(8 + length + begin, 8 + length + end)).buffer
      return [name, { shape, data: dtype === "I32" ? new Int32Array(bytes) : new Float32Array(bytes) }]
    })
  )
}

/** Opens `<name>.safetensors`. */
export const fixture = (name: string): Fixture => {
  const arrays = parse(readFileSync(at(`${name}.safetensors`)))
  const get = (key: string): FixtureArray => {
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
