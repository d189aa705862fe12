/** The manifest: what a kill tears, what several processes write, what is no line of it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fc from "fast-check"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { PartManifest } from "../../src/io/index.ts"
import { check } from "../support/prop.ts"
import { inFolder } from "./support.ts"

const record = (part: string, change: Partial<PartManifest.PartRecord> = {}): PartManifest.PartRecord => ({
  part,
  input: "in.parquet",
  rowGroup: 0,
  rows: 10,
  failedRows: 0,
  tokens: 7,
  promptTokens: 70,
  promptPositions: 80,
  bytes: 1234,
  sha256: "0".repeat(64),
  inputSha256: "1".repeat(64),
  inputVersion: "1764000000000.25",
  seconds: 0.5,
  engine: "tensorflow",
  ...change
})

const append = (folder: string, writer: string, ...records: ReadonlyArray<PartManifest.PartRecord>) =>
  Effect.scoped(Effect.flatMap(PartManifest.open(folder, writer), (opened) => Effect.forEach(records, opened.append, { discard: true })))

const parts = (folder: string) => Effect.map(PartManifest.read(folder), (found) => [...found.keys()].sort())

describe("the manifest", () => {
  it.effect("a file cut off anywhere keeps every whole line, and the next line begins on its own", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        yield* append(folder, "one", record("a"), record("bü"), record("c"))
        const whole = readFileSync(join(folder, "one.jsonl"))
        const ends = [...whole.entries()].filter(([, byte]) => byte === 10).map(([at]) => at)
        assert.strictEqual(ends.length, 3)
        yield* check([fc.integer({ min: 0, max: whole.length })], (cut) =>
          Effect.gen(function*() {
            writeFileSync(join(folder, "one.jsonl"), whole.subarray(0, cut))
            // The newline itself may be missing: the line before it is whole all the same.
            const kept = ["a", "bü", "c"].filter((_, i) => cut >= ends[i]!)
            assert.deepStrictEqual(yield* parts(folder), kept.toSorted())
            yield* append(folder, "one", record("d"), record("e"))
            assert.deepStrictEqual(yield* parts(folder), [...kept, "d", "e"].sort())
          }), { numRuns: 60 })
      })))

  it.effect("writers are merged; a part that one of them finished is finished, whatever another met with", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        yield* append(folder, "a", record("x", { problem: "damaged" }), record("y", { rows: 1 }))
        yield* append(folder, "b", record("x", { rows: 3 }), record("y", { problem: "damaged" }), record("z", { problem: "damaged" }))
        const found = yield* PartManifest.read(folder)
        assert.deepStrictEqual([...found.values()].map(({ part, problem, rows }) => [part, rows, problem]).sort(), [["x", 3, undefined], ["y", 1, undefined], ["z", 10, "damaged"]])
        assert.deepStrictEqual((yield* PartManifest.readWriters(folder)).map(({ name, records }) => [name, records.length]), [["a", 2], ["b", 3]])
      })))

  it.effect("the last word of a writer counts; what is no record is passed over", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        mkdirSync(folder, { recursive: true })
        const odd = ["", "null", "{}", "[1]", "{\"part\":\"q\"}", JSON.stringify({ ...record("q"), rows: -1 }), JSON.stringify({ ...record("q"), sha256: "zz" }), "\u0000\u0000\u0000"]
        writeFileSync(join(folder, "one.jsonl"), [...odd, JSON.stringify(record("x", { rows: 1 })), ...odd, JSON.stringify(record("x", { rows: 2 })), ""].join("\n"))
        writeFileSync(join(folder, "plan.json"), JSON.stringify(record("not a line")))
        assert.deepStrictEqual([...(yield* PartManifest.read(folder)).values()], [record("x", { rows: 2 })])
        assert.deepStrictEqual((yield* PartManifest.read(join(folder, "nowhere"))).size, 0)
      })))
})
