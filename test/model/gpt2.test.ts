/** GPT-2 from a folder of the hub's layout, against PyTorch, on the native engine and on WebAssembly. */
import { assert } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Gpt2Folder } from "../../src/io/index.ts"
import { Perplexity } from "../../src/metrics/index.ts"
import { Backend } from "../../src/model/Backend.ts"
import { LanguageModel } from "../../src/model/LanguageModel.ts"
import { onEngines } from "../support/backend.ts"

const folder = join(import.meta.dirname, "..", "fixtures", "gpt2")

interface Expected {
  readonly context: number
  readonly eos: number
  readonly tokens: ReadonlyArray<ReadonlyArray<number>>
  readonly losses: ReadonlyArray<ReadonlyArray<number>>
  readonly masks: Readonly<Record<Perplexity.Mask, { readonly weights: Array<Array<number>>; readonly perplexity: number }>>
}

const expected = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8")) as Expected
const longest = Math.max(...expected.tokens.map((row) => row.length))
const padded = expected.tokens.map((row) => Int32Array.from([...row, ...Array<number>(longest - row.length).fill(expected.eos)]))

const gpt2 = Layer.unwrap(Effect.map(Gpt2Folder.load(folder), LanguageModel.layerGpt2))

await onEngines(["tensorflow", "wasm"], (it) => {
  it.effect("every token's loss, the masks and the perplexities are PyTorch's", () =>
    Effect.gen(function*() {
      const { context, losses } = yield* LanguageModel
      assert.strictEqual(context, expected.context)
      const found = yield* losses(padded)
      // Up to the first padded token: beyond it PyTorch was told not to look at the padding, and nothing counts.
      found.forEach((row, i) => row.slice(0, expected.tokens[i]!.length).forEach((loss, j) => assert.closeTo(loss, expected.losses[i]![j]!, 2e-5, `row ${i}, token ${j + 1}`)))
      for (const mask of Perplexity.masks) {
        const { perplexity, weights } = expected.masks[mask]
        const own = padded.map((row) => Perplexity.tokenWeights(row, expected.eos, mask))
        assert.deepStrictEqual(own.map((row) => Array.from(row)), weights)
        assert.closeTo(Perplexity.perplexity(own.map((row, i) => Perplexity.surprisal(found[i]!, row))) / perplexity, 1, 1e-6)
      }
    }).pipe(Effect.provide(gpt2)))

  it.effect("a row alone, unpadded, and one token longer than the context has the same losses; nothing stays on the device", () =>
    Effect.gen(function*() {
      const { live } = yield* Backend
      const before = yield* live
      yield* Effect.gen(function*() {
        const { losses } = yield* LanguageModel
        const held = yield* live
        const together = yield* losses(padded)
        for (const [i, tokens] of expected.tokens.entries()) {
          const [alone] = yield* losses([Int32Array.from([...tokens, expected.eos])])
          assert.strictEqual(alone!.length, tokens.length)
          alone!.slice(0, longest - 1).forEach((loss, j) => assert.closeTo(loss, together[i]![j]!, 1e-5))
        }
        assert.deepStrictEqual(yield* losses([Int32Array.of(3), new Int32Array(0)]), [new Float32Array(0), new Float32Array(0)])
        assert.strictEqual(yield* live, held)
      }).pipe(Effect.provide(gpt2))
      assert.strictEqual(yield* live, before)
    }))
})
