import { assert, describe, it as plain, layer } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import fc from "fast-check"
import { Samplers, TimeGrid } from "../../src/flow/index.ts"
import { Tokenizer } from "../../src/model/Tokenizer.ts"
import { generate } from "../../src/streams/generate.ts"
import { infill, type Infilled, type InfillOptions } from "../../src/streams/infill.ts"
import { prefetch, Template } from "../../src/streams/index.ts"
import { onEngines, testEngine } from "../support/backend.ts"
import { chunkingInvariant, noTensorLeft, nothingLeftAfterInterruption } from "../support/deviceLaws.ts"
import { check } from "../support/prop.ts"
import { tiny, tinyEncoder, tinyNetwork, tinyTokenizer } from "../support/tinyModel.ts"

const S = tiny.length
const [padId, endOfSequenceId] = [0, 1]

const options: InfillOptions & { readonly seed: number } =
  { timeSteps: TimeGrid.uniform(3), batchSize: 3, selfConditionScale: 2, guidanceScale: 1.5, seed: 9 }

const run = (of: ReadonlyArray<Template.Template>, more: Partial<InfillOptions> = {}) =>
  Stream.fromIterable(of).pipe(infill({ ...options, ...more }), Stream.runCollect)

const token = fc.integer({ min: 2, max: tiny.vocabulary - 1 })

/** Templates of 1 to S tokens, given or not at any positions. */
const template: fc.Arbitrary<Template.Template> = fc.array(fc.tuple(token, fc.boolean()), { minLength: 1, maxLength: S })
  .map((tokens) => ({ ids: Int32Array.from(tokens, ([id]) => id), given: Uint8Array.from(tokens, ([, given]) => Number(given)) }))

const given = (...ids: ReadonlyArray<number>) => Template.allGiven(Int32Array.from(ids))

const templates = [
  Template.joined([given(7, 8), Template.blank(2), given(9)]),
  Template.blank(5),
  Template.joined([Template.blank(3), given(20)]),
  given(5, 6, 7),
  Template.joined([given(30), Template.blank(1), given(31), Template.blank(4), given(32)]),
  Template.blank(0)
]

const ids = (filled: ReadonlyArray<Infilled>) => filled.map((each) => [...each.ids])

const services = Layer.mergeAll(Layer.provideMerge(Layer.mergeAll(tinyNetwork(), tinyEncoder), testEngine), tinyTokenizer)

layer(services)("infill", (it) => {
  it.effect("what is given comes back as it was given, whatever the ending", () =>
    Effect.flatMap(Effect.context<Layer.Success<typeof services>>(), (context) =>
      check([template, fc.constantFrom<InfillOptions["length"]>(undefined, "template", S), fc.constantFrom("pad" as const, "eos" as const)], (template, length, padding) =>
        Effect.gen(function*() {
          const [filled] = yield* run([template], { padding, ...(length === undefined ? {} : { length }) })
          template.given.forEach((is, i) => { if (is === 1) assert.strictEqual(filled!.ids[i], template.ids[i]) })
        }).pipe(Effect.provideContext(context), Effect.orDie), { numRuns: 12 })))

  it.effect("a text of a given length has that many tokens, none of them EOS or padding", () =>
    Effect.gen(function*() {
      for (const length of ["template", 6, S] as const) {
        const short = templates.filter((each) => length === "template" || each.ids.length <= length)
        const filled = yield* run(short, { length })
        filled.forEach((each, i) => {
          assert.strictEqual(each.ids.length, length === "template" ? short[i]!.ids.length : length)
          assert.strictEqual(each.tokens, each.ids.length)
          assert.isTrue(each.ids.every((id) => id !== padId && id !== endOfSequenceId))
        })
      }
    }))

  it.effect("a text without a given length ends before its first EOS behind the template", () =>
    Effect.gen(function*() {
      const filled = yield* run(templates)
      assert.isTrue(filled.some((each) => each.ids.length < S) || filled.every((each) => each.ids.length === S))
      filled.forEach((each, i) => assert.isFalse(each.ids.subarray(templates[i]!.ids.length).includes(endOfSequenceId)))
    }))

  it.effect("a prefix without an end is the conditional path: the same answers", () =>
    Effect.gen(function*() {
      const prompts = ["war", "of", "peac", "a"]
      const encoded = yield* Effect.flatMap(Tokenizer, (tokenizer) => tokenizer.encodeBatch(prompts))
      const maximumCondition = 4
      const answers = yield* Stream.fromIterable(prompts).pipe(generate({ ...options, maximumCondition }), Stream.runCollect)
      const filled = yield* run(encoded.map(Template.allGiven))
      const words = yield* Effect.flatMap(Tokenizer, (tokenizer) =>
        Effect.forEach(filled, (each, i) => tokenizer.decode(each.ids.subarray(encoded[i]!.length, encoded[i]!.length + S - maximumCondition))))
      assert.deepStrictEqual(words, answers.map(({ answer }) => answer))
    }))

  it.effect("a text depends on its template and its key, not on its batch", () =>
    Effect.gen(function*() {
      const together = yield* run(templates, { batchSize: 6 })
      for (const batchSize of [1, 2, 4]) assert.deepStrictEqual(ids(yield* run(templates, { batchSize })), ids(together))
      const [again] = yield* Stream.make({ ...templates[4]!, key: 4 }).pipe(infill(options), Stream.runCollect)
      assert.deepStrictEqual(again!.ids, together[4]!.ids)
      assert.strictEqual(again!.key, 4)
      const [other] = yield* Stream.make({ ...templates[1]!, key: 4 }).pipe(infill(options), Stream.runCollect)
      assert.notDeepEqual(other!.ids, together[1]!.ids)
    }))

  it.effect("what is given counts wherever it stands, behind a blank too", () =>
    Effect.gen(function*() {
      const end = (id: number) => Template.joined([Template.blank(6), given(id)])
      const [a, b] = ids(yield* Stream.make({ ...end(7), key: 0 }, { ...end(40), key: 0 }).pipe(infill(options), Stream.runCollect))
      assert.notDeepEqual(a!.slice(0, 6), b!.slice(0, 6))
    }))

  it.effect("what a blank holds is not read", () =>
    Effect.gen(function*() {
      const held = (id: number): Template.Template => ({ ids: Int32Array.of(7, id, 9), given: Uint8Array.of(1, 0, 1) })
      assert.deepStrictEqual(ids(yield* run([held(3)])), ids(yield* run([held(50)])))
    }))

  it.effect("stops with rows that are stable, and says after which step", () =>
    Effect.gen(function*() {
      const full = yield* run([given(...Array.from({ length: S }, (_, i) => 2 + i))], { timeSteps: TimeGrid.uniform(8), stopWhenStable: 2 })
      assert.strictEqual(full[0]!.settledAt, 2)
      assert.isTrue((yield* run(templates)).every(({ settledAt }) => settledAt === -1))
    }))

  it.effect("refuses a template that does not fit, and says which", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(run([templates[0]!, Template.blank(S + 1)]))
      assert.include(error.message, `Template 1: it has ${S + 1} tokens, and the text is to have ${S}`)
      assert.include((yield* Effect.flip(run([templates[0]!], { length: 3 }))).message, "Template 0: it has 5 tokens, and the text is to have 3")
      assert.include((yield* Effect.flip(run([templates[0]!], { length: S + 1 }))).message, `the network has ${S} positions`)
    }))

  const stage = infill({ ...options, length: "template" })
  const wrong = Template.blank(S + 1)
  it.effect("chunking invariance", () => chunkingInvariant(stage, templates.slice(0, 4)))
  it.effect("look-ahead on either side changes nothing", () =>
    Effect.gen(function*() {
      const ahead = yield* Stream.fromIterable(templates).pipe(prefetch(2), stage, prefetch(2), Stream.runCollect)
      assert.deepStrictEqual(ahead, yield* run(templates, { length: "template" }))
    }))
  it.effect("no tensor is left", () => noTensorLeft(stage, templates, wrong))
  it.effect("nothing is left after interruption", () => nothingLeftAfterInterruption(stage, () => templates[0]!))
})

await onEngines(["tensorflow", "wasm"], (it) => {
  it.effect("fills blanks with every sampler", () =>
    Effect.gen(function*() {
      for (const solver of Samplers.solverNames) {
        const [filled] = yield* run([templates[4]!], { solver: Samplers.solverOf({ solver, gamma: 1, churn: solver === "sde" ? 0 : 2 }), length: "template" })
        assert.deepStrictEqual([filled!.ids[0], filled!.ids[2], filled!.ids[7]], [30, 31, 32])
        assert.isTrue(filled!.ids.every((id) => id > 1))
      }
    }).pipe(Effect.provide(Layer.mergeAll(tinyNetwork(), tinyEncoder, tinyTokenizer))))
})

layer(Tokenizer.layer)("templates of texts", (it) => {
  const parsed = (text: string) =>
    Effect.gen(function*() {
      const tokenizer = yield* Tokenizer
      const { given, ids } = yield* Template.parse(text)
      return { pattern: [...given].join(""), text: yield* tokenizer.decode(ids.filter((_, i) => given[i] === 1)) }
    })

  it.effect("three underscores are a blank of one token; braces say how many", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* parsed("The ___ of the Union"), { pattern: "10111", text: "The of the Union" })
      assert.deepStrictEqual(yield* parsed("The ___{3} of the Union"), { pattern: "1000111", text: "The of the Union" })
      assert.deepStrictEqual(yield* parsed("___{2}___ of ___"), { pattern: "00010", text: "of" })
      assert.deepStrictEqual(yield* parsed("The state of the Union"), { pattern: "11111", text: "The state of the Union" })
      assert.deepStrictEqual(yield* parsed(""), { pattern: "", text: "" })
    }))

  it.effect("punctuation behind a blank stays with it, a word does not", () =>
    Effect.gen(function*() {
      const tokenizer = yield* Tokenizer
      const filled = (text: string) => Effect.flatMap(Template.parse(text), ({ given, ids }) => tokenizer.decode(ids.map((id, i) => (given[i] === 1 ? id : 538))))
      assert.strictEqual(yield* filled("The ___, of"), "The state, of")
      assert.strictEqual(yield* filled("The ___."), "The state.")
      assert.strictEqual(yield* filled("The ___ of"), "The state of")
    }))

  it.effect("refuses a blank of no length", () =>
    Effect.gen(function*() {
      for (const text of ["a ___{0} b", "a ___{} b"]) assert.include((yield* Effect.flip(Template.parse(text))).message, "a blank without a length")
    }))
})

describe("templates", () => {
  plain("joined, and what is given put back", () => {
    fc.assert(fc.property(fc.array(template, { maxLength: 4 }), (parts) => {
      const whole = Template.joined(parts)
      assert.strictEqual(whole.ids.length, parts.reduce((sum, { ids }) => sum + ids.length, 0))
      const filled = Template.withGiven(new Int32Array(whole.ids.length), whole)
      filled.forEach((id, i) => assert.strictEqual(id, whole.given[i] === 1 ? whole.ids[i] : 0))
      assert.strictEqual(Template.givenLength(whole), [...whole.given].lastIndexOf(1) + 1)
      assert.strictEqual(Template.hasGiven(whole), whole.given.includes(1))
    }))
  })
})
