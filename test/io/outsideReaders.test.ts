/** What the world reads: parts that carry a column of every type, as pyarrow and DuckDB read them back. */
import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Parquet } from "../../src/io/index.ts"
import { python, withPython } from "../support/python.ts"
import { inFolder } from "./support.ts"

const program = (name: string) => readFileSync(join(import.meta.dirname, "fixtures", name), "utf8")

const schema = { answer: "string?", latents: "list<float>?", tokens: "int32?", seed: "int64" } as const

const added = (row: number) => ({
  answer: row % 5 === 4 ? null : `answer ${row} ü 😀`,
  latents: row % 5 === 4 ? null : Float32Array.from({ length: row % 3 }, (_, i) => row + i / 2),
  tokens: row % 5 === 4 ? null : row,
  seed: 2 ** 40 + 1
})

/** Writes a part for each row group of `input`, seven rows at a time. */
const writeParts = (input: string, folder: string, codec: Parquet.Codec) =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* Parquet.open(input)
    yield* Effect.forEach(file.rowGroups, (group) => {
      const rows = Array.from({ length: group.rows }, (_, i) => added(group.firstRow + i))
      const runs = Array.from({ length: Math.ceil(rows.length / 7) }, (_, i) => rows.slice(7 * i, 7 * i + 7))
      return Parquet.writePart(join(folder, `part.${group.index}.parquet`), Stream.fromIterable(runs), {
        carried: { file, group, columns: file.columns.map(({ name }) => name) },
        schema,
        codec,
        metadata: { "elf-streams.model": "tiny" }
      })
    })
  }))

interface Comparison {
  readonly metadata: ReadonlyArray<string>
  readonly [name: string]: unknown
}

const ways: ReadonlyArray<readonly [object, Parquet.Codec]> = [
  [{}, "snappy"],
  [{ use_dictionary: false, data_page_version: "2.0", compression: "zstd", write_page_index: true, write_page_checksum: true }, "zstd"],
  [{ store_schema: false, compression: "none", write_statistics: false, data_page_size: 64 }, "gzip"]
]

withPython("pyarrow and DuckDB", () => {
  it.effect.each(ways)("read every carried column as in the input written with %j, and the added ones in %s", ([options, codec]) =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const input = join(folder, "in.parquet")
        python(program("every_type.py"), input, JSON.stringify(options))
        yield* writeParts(input, join(folder, "out"), codec)
        const found = JSON.parse(python(program("compare_parts.py"), input, join(folder, "out"))) as Comparison
        const plain = [0, 1, 2].map((row) => ({ ...added(row), latents: Array.from(added(row).latents!) }))
        assert.deepInclude(found, {
          types: [],
          values: [],
          rows: 45,
          duckMissing: 0,
          duckRows: 45,
          duckTypes: false,
          added: { answer: "string", latents: "list<element: float not null>", tokens: "int32", seed: "int64" },
          addedPlain: Object.fromEntries(Object.keys(schema).map((name) => [name, plain.map((row) => row[name as keyof typeof schema])])),
          addedDuck: plain.map((row) => Object.values(row)),
          rowGroups: [1, 1, 1]
        })
        assert.deepStrictEqual(new Set(Object.values(found["codecs"] as object)), new Set([codec.toUpperCase()]))
        assert.include(found.metadata, "elf-streams.model")
      })), 120_000)
})
