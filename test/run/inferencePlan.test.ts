/** The plan in an output folder as a file from elsewhere: it can lead nowhere else. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Inference from "../../src/run/inference/index.ts"
import { inFolder } from "../io/support.ts"
import { testEngine } from "../support/backend.ts"
import { writePrompts, writeTinyCheckpoint } from "../support/tinyCheckpoint.ts"

layer(testEngine)("the plan of an inference", (it) => {
  it.effect("is refused where a name leads out of the folder, and --fresh removes nothing there", () =>
    inFolder((folder) => Effect.gen(function*() {
      const checkpoint = yield* writeTinyCheckpoint(folder)
      const input = join(folder, "a.parquet")
      yield* writePrompts(input, 4, 2)
      const request: Inference.InferenceRequest = { task: "sample", checkpoint, input, column: "prompt", output: join(folder, "out") }
      yield* Inference.open(request)
      const book = join(request.output, "_inference", "plan.json")
      const plan = readFileSync(book, "utf8")
      assert.include(plan, "\"a.parquet\"")
      const victim = join(folder, "victim.00000.parquet")
      writeFileSync(victim, "not yours")
      for (const name of ["../victim.parquet", "a/../../victim.parquet", join(folder, "victim.parquet"), "..\\victim.parquet"]) {
        writeFileSync(book, plan.replaceAll("\"a.parquet\"", JSON.stringify(name)))
        assert.include((yield* Effect.flip(Inference.open(request))).message, "below the output folder")
        yield* Inference.open({ ...request, fresh: true })
        assert.isTrue(existsSync(victim), name)
        assert.strictEqual(readFileSync(book, "utf8"), plan)
      }
    })))
})
