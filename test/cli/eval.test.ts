import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { inFolder } from "../io/support.ts"
import { tinyPrompt, writeTinyCheckpoint } from "../support/tinyCheckpoint.ts"
import { elf, type RunOptions } from "./process.ts"

const gpt2 = join(import.meta.dirname, "..", "fixtures", "gpt2")

type Report = Readonly<Record<string, unknown>> & { readonly points: ReadonlyArray<Readonly<Record<string, unknown>>> }

const reportOf = (stdout: string) => JSON.parse(stdout) as Report

/** A folder with a checkpoint, documents and pairs; `run` evaluates the checkpoint into `eval`. */
const prepared = <A, E, R>(body: (folder: string, run: (arguments_: ReadonlyArray<string>, options?: RunOptions) => Effect.Effect<Awaited<ReturnType<typeof elf>>>) => Effect.Effect<A, E, R>) =>
  inFolder((folder) =>
    Effect.gen(function*() {
      const checkpoint = yield* writeTinyCheckpoint(folder)
      const texts = Array.from({ length: 12 }, (_, i) => `${tinyPrompt(i)} and the people of this union have kept their peace through many winters`)
      writeFileSync(join(folder, "texts.txt"), `${texts.join("\n")}\n`)
      writeFileSync(join(folder, "pairs.jsonl"), texts.map((text, i) => JSON.stringify({ input: tinyPrompt(i), output: text })).join("\n"))
      return yield* body(folder, (arguments_, options) => Effect.promise(() => elf(["eval", checkpoint, ...arguments_], options)))
    }))

describe("elf eval", () => {
  it.effect("makes a report, a table and a plot for each protocol, and refuses one that it cannot judge", () =>
    prepared(Effect.fnUntraced(function*(folder, run) {
      const texts = join(folder, "texts.txt")
      const pairs = ["--data", join(folder, "pairs.jsonl"), "--count", "4", "--steps", "2", "--guidance", "1,2"]
      const [noise, translation, summaries, refused] = yield* Effect.all([
        run(["--output", join(folder, "noise"), "--scorer", gpt2, "--reference", texts, "--count", "3", "--steps", "1,2", "--solver", "ode,sde", "--json"]),
        run(["--output", join(folder, "translation"), "--task", "translation", ...pairs, "--json"]),
        run(["--output", join(folder, "summaries"), "--task", "summarisation", ...pairs]),
        run(["--steps", "8"])
      ], { concurrency: 2 })
      assert.strictEqual(noise.code, 0, noise.stderr)
      const report = reportOf(noise.stdout)
      assert.deepStrictEqual(report.points.map(({ solver, steps }) => `${String(solver)} ${String(steps)}`), ["ode 1", "ode 2", "sde 1", "sde 2"])
      for (const point of report.points) assert.isTrue(typeof point["perplexity"] === "number" && typeof point["entropy"] === "number")
      assert.isTrue(typeof (report["reference"] as Readonly<Record<string, unknown>>)["perplexity"] === "number")
      assert.match(noise.stderr, /steps 18\/18 .* ETA 0:00/)
      assert.isTrue(existsSync(join(folder, "noise", "plot.svg")) && existsSync(join(folder, "noise", "report.json")))
      assert.deepStrictEqual(reportOf(translation.stdout).points.map(({ bleu, guidanceScale }) => [typeof bleu, guidanceScale]), [["number", 1], ["number", 2]])
      assert.strictEqual(summaries.code, 0, summaries.stderr)
      assert.match(summaries.stdout, /ROUGE-1 +ROUGE-2 +ROUGE-L/)
      assert.strictEqual(refused.code, 1)
      assert.match(refused.stderr, /--scorer must be a GPT-2 .*or --scorer-corpus given in its place, not left out/)
    })), 90_000)

  it.effect("interrupted it ends with 130, and goes on with what it had; the stand-in is called one", () =>
    prepared(Effect.fnUntraced(function*(folder, run) {
      const options = ["--output", join(folder, "eval"), "--scorer-corpus", join(folder, "texts.txt"), "--order", "3", "--batch-size", "1", "--steps", "4"]
      const interrupted = yield* run([...options, "--count", "3000"], { interruptAt: "writing point" })
      assert.strictEqual(interrupted.code, 130, interrupted.stderr)
      const { code, stderr, stdout } = yield* run([...options, "--count", "8"])
      assert.strictEqual(code, 0, stderr)
      assert.match(stderr, /1 points, 8 texts, 8 of them written before/)
      assert.match(stdout, /Kneser–Ney 3-grams of texts\.txt \(\d+ tokens\)\. A stand-in for GPT-2/)
    })), 90_000)
})
