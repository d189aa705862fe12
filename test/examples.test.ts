/** Every example, and every program in the README, does what it says. */
import { Effect, Stream } from "effect"
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { beforeAll, describe, expect, it } from "vitest"
import { Parquet } from "../src/io/index.ts"
import { requireBuild, root, runProgram } from "./support/program.ts"

beforeAll(requireBuild)

const lines = (output: string): ReadonlyArray<string> => output.trimEnd().split("\n")

describe("examples", () => {
  it("train-tiny: the decoder's loss falls", async () => {
    const steps = lines(await runProgram("examples/train-tiny.ts"))
    const decoder = steps.map((line) => Number(/decoder (\S+)/.exec(line)?.[1]))
    expect(steps.map((line) => /^step (\d+)/.exec(line)?.[1])).toEqual(["1", "10", "20", "30"])
    expect(decoder.at(-1)).toBeLessThan(decoder[0]! / 2)
  })

  it("custom-stage: the wrapper counts, the replacement embeds", async () => {
    const output = await runProgram("examples/custom-stage.ts")
    expect(output).toContain("longerThan: 3 in, 2 out")
    expect(output).toContain("pack: 2 in, 3 out")
    expect(output).toContain("sequence 2 has 2 channels a token")
  })

  it("sample: a text emerges over 16 steps, the same one for the same seed", async () => {
    const states = lines(await runProgram("examples/sample.ts", "3"))
    expect(states).toHaveLength(16)
    expect(states.at(-1)).toMatch(/^t 1\.000 {2}\S+ \S+/)
    expect(lines(await runProgram("examples/sample.ts", "3"))).toEqual(states)
  })

  it("infer-parquet: an answer for each prompt, in fewer than 15 lines", async () => {
    const folder = mkdtempSync(join(tmpdir(), "infer-"))
    const [input, output] = [join(folder, "prompts.parquet"), join(folder, "answers.parquet")]
    const prompts = ["The people of the United States", "We have kept the peace"]
    await Stream.fromIterable(prompts.map((prompt) => ({ prompt }))).pipe(Parquet.write(input), Stream.runDrain, Effect.runPromise)
    await runProgram("examples/infer-parquet.ts", input, output)
    const answers = await Effect.runPromise(Stream.runCollect(Parquet.readRows(output)))
    expect(answers.map(({ values }) => values["prompt"])).toEqual(prompts)
    expect(answers.every(({ values }) => /\w/.test(String(values["answer"])))).toBe(true)
    expect(lines(readFileSync(join(root, "examples", "infer-parquet.ts"), "utf8")).length).toBeLessThan(15)
  })
})

describe("the README", () => {
  const programs = Array.from(readFileSync(join(root, "README.md"), "utf8").matchAll(/^```ts\n([\s\S]*?)^```/gm), ([, code]) => code!)
  const expected = [/^My fellow citizens, .+ → .*\w/, /^\d+ tokens\n$/]

  it("begins with an example of fewer than ten lines", () => {
    expect(programs).toHaveLength(expected.length)
    expect(lines(programs[0]!).length).toBeLessThan(10)
  })

  it.each(expected.map((output, i) => [i + 1, output] as const))("program %i runs as it stands", async (number, output) => {
    const folder = join(root, "out", "readme")
    mkdirSync(folder, { recursive: true })
    const file = join(folder, `program-${number}.ts`)
    writeFileSync(file, programs[number - 1]!)
    expect(await runProgram(file)).toMatch(output)
  })
})
