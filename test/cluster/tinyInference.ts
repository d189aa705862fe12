/** An inference of many small row groups, and its parts as one process makes them. */
import { assert } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Parquet } from "../../src/io/index.ts"
import { elf } from "../cli/process.ts"
import { tinyFolder, writeRunFile } from "../cli/tinyRun.ts"

const rowsPerGroup = 4

/** A folder with a trained network (`run`) and prompts in `rowGroups` row groups; the arguments that answer them into `output`. */
export const tinyInference = (rowGroups: number, steps: number) =>
  Effect.gen(function*() {
    const folder = yield* tinyFolder
    const trained = yield* Effect.promise(async () => elf(["train", await Effect.runPromise(writeRunFile(folder, "run.json", { optimizer: { steps: 1, warmupSteps: 0 } }))]))
    assert.strictEqual(trained.code, 0, trained.stderr)
    const prompts = Array.from({ length: rowGroups * rowsPerGroup }, (_, i) => ({ text: `Fellow citizens, this is prompt number ${i}.`, number: i }))
    yield* Stream.fromIterable(prompts).pipe(
      Parquet.write(join(folder, "prompts.parquet"), { schema: { text: "string", number: "int32" }, rowGroupSize: rowsPerGroup }),
      Stream.runDrain
    )
    const answer = (output: string, ...more: ReadonlyArray<string>) => [
      "infer", "--checkpoint", join(folder, "run"), "--input", join(folder, "prompts.parquet"), "--column", "text",
      "--output", join(folder, output), "--steps", String(steps), ...more
    ]
    return { folder, answer }
  })

/** The bytes of each part of an output folder, by name; temporary files would be among them. */
export const partsOf = (output: string): ReadonlyMap<string, Buffer> =>
  new Map(readdirSync(output, { withFileTypes: true }).filter((entry) => entry.isFile()).map(({ name }) => [name, readFileSync(join(output, name))]))

/** Parts of an output folder's manifest, each as often as it has a line. */
export const manifestLines = (output: string): ReadonlyArray<string> => {
  const book = join(output, "_inference")
  return (existsSync(book) ? readdirSync(book) : []).filter((name) => name.endsWith(".jsonl")).flatMap((name) =>
    readFileSync(join(book, name), "utf8").split("\n").flatMap((line) => line.startsWith("{") && line.endsWith("}") ? [(JSON.parse(line) as { readonly part: string }).part] : []))
}
