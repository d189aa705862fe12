/** Evaluations in one process: what is written once stays, whatever is asked for next, and the figures are those of the texts. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { appendFile, copyFile, mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Parquet } from "../../src/io/index.ts"
import { Bleu, KneserNey, Perplexity, Rouge } from "../../src/metrics/index.ts"
import { Tokenizer } from "../../src/model/Tokenizer.ts"
import { Evaluation } from "../../src/run/index.ts"
import { readNgrams, writeNgrams } from "../../src/run/evaluation/ngramFile.ts"
import { inFolder } from "../io/support.ts"
import { testEngine } from "../support/backend.ts"
import { tinyPrompt, writeTinyCheckpoint } from "../support/tinyCheckpoint.ts"

const gpt2 = join(import.meta.dirname, "..", "fixtures", "gpt2")

interface Expected {
  readonly texts: ReadonlyArray<string>
  readonly tokens: ReadonlyArray<ReadonlyArray<number>>
  readonly entropies: ReadonlyArray<number>
  readonly masks: Readonly<Record<Perplexity.Mask, { readonly perplexity: number }>>
}

const judge = (choice: Evaluation.ScorerChoice, texts: ReadonlyArray<string>) =>
  Effect.flatMap(Evaluation.Scorer, (scorer) => scorer.judge(texts)).pipe(Effect.provide(Evaluation.openScorer(choice)))

/** Sixteen documents for a scorer, and pairs whose output is their input's number. */
const writeData = Effect.fnUntraced(function*(folder: string) {
  const rows = Array.from({ length: 16 }, (_, i) => ({ text: `${tinyPrompt(i)} and the people of this union have kept their peace`, input: tinyPrompt(i), output: `number ${i} of the union` }))
  yield* Stream.fromIterable(rows).pipe(Parquet.write(join(folder, "data.parquet"), { schema: { text: "string", input: "string", output: "string" } }), Stream.runDrain)
  writeFileSync(join(folder, "data.jsonl"), rows.map((row) => JSON.stringify(row)).join("\n"))
})

const prepared = <A, E, R>(body: (folder: string, request: Evaluation.EvaluationRequest) => Effect.Effect<A, E, R>) =>
  inFolder((folder) =>
    Effect.gen(function*() {
      const checkpoint = yield* writeTinyCheckpoint(folder)
      yield* writeData(folder)
      const corpus = { path: join(folder, "data.parquet"), column: "text" }
      const protocol = { task: "unconditional", scorer: { name: gpt2 }, mask: "reference", reference: corpus } as const
      return yield* body(folder, { checkpoint, output: join(folder, "eval"), protocol, count: 5, change: {}, sweep: { steps: [1, 2] }, batchSize: 2 })
    }))

const textsOf = (folder: string, report: Evaluation.EvaluationReport): ReadonlyArray<ReadonlyArray<unknown>> =>
  report.points.map(({ file }) => readFileSync(join(folder, file), "utf8").trimEnd().split("\n").map((line) => JSON.parse(line) as unknown))

layer(testEngine)("an evaluation", (it) => {
  it.effect("judges as PyTorch and the reference's protocol do, with either form of the vocabulary", () =>
    inFolder(Effect.fnUntraced(function*(folder) {
      const expected = JSON.parse(readFileSync(join(gpt2, "expected.json"), "utf8")) as Expected
      const older = join(folder, "older")
      yield* Effect.promise(async () => {
        await mkdir(older)
        for (const name of ["config.json", "model.safetensors", "vocab.json", "merges.txt"]) await copyFile(join(gpt2, name), join(older, name))
      })
      const judged = yield* judge({ name: gpt2 }, expected.texts)
      assert.deepStrictEqual(yield* judge({ name: older }, expected.texts), judged)
      judged.forEach(({ entropy, tokens }, i) => {
        assert.strictEqual(tokens, expected.tokens[i]!.length)
        assert.closeTo(entropy, expected.entropies[i]!, 1e-12)
      })
      for (const mask of Perplexity.masks) {
        const found = Perplexity.perplexity(judged.map(({ surprisal }) => surprisal[mask]))
        assert.closeTo(found / expected.masks[mask].perplexity, 1, 1e-6)
      }
    })))

  it.effect("from noise: a larger count, another batch size and a torn file change no text; the report says what it depends on", () =>
    prepared(Effect.fnUntraced(function*(folder, request) {
      const output = join(folder, "whole")
      const whole = yield* Evaluation.evaluate({ ...request, output })
      const first = yield* Evaluation.evaluate({ ...request, count: 2 })
      for (const { file } of first.points) yield* Effect.promise(() => appendFile(join(request.output, file), "{\"key\":2,\"te"))
      const events: Array<Evaluation.EvaluationEvent> = []
      const resumed = yield* Evaluation.evaluate({ ...request, batchSize: 3 }, (event) => Effect.sync(() => void events.push(event)))
      assert.deepStrictEqual(textsOf(request.output, resumed), textsOf(output, whole))
      assert.deepStrictEqual(resumed, whole)
      assert.deepStrictEqual(events[0], { type: "planned", points: 2, texts: 10, known: 4, work: 3 * 1 + 3 * 2 })
      const texts = textsOf(output, whole)
      assert.notDeepEqual(texts[0], texts[1])
      for (const point of whole.points) {
        assert.isTrue("perplexity" in point && point.perplexity! > 1 && point.texts + point.empty === 5)
        assert.isAbove(point.entropy!, 0)
      }
      assert.deepStrictEqual([whole.scorer?.kind, whole.scorer?.standIn, whole.mask, whole.reference?.texts, whole.seeds], ["gpt2", false, "reference", 5, [1]])
      assert.match(whole.checkpoint.sha256, /^[0-9a-f]{64}$/)
      assert.strictEqual(whole.configuration.model.hidden, 16)
      assert.deepStrictEqual(JSON.parse(yield* Effect.promise(() => readFile(join(output, "report.json"), "utf8"))), JSON.parse(JSON.stringify(whole)))
      const plot = readFileSync(join(output, "plot.svg"), "utf8")
      assert.match(plot, /perplexity against steps[\s\S]*against entropy[\s\S]*real texts/)
      assert.notInclude(plot, "NaN")
    })))

  it.effect("counts a corpus once where there is no GPT-2, says that it stands in, and leaves out settings that change nothing", () =>
    prepared(Effect.fnUntraced(function*(folder, request) {
      const corpus = { path: join(folder, "data.parquet"), column: "text" }
      const scorer = { corpus, order: 3, folder: request.output }
      const counted = { ...request, sweep: { solver: ["ode", "sde"], gamma: [1, 2], churn: [0, 5], seed: [1, 2] }, count: 2, protocol: { task: "unconditional", scorer, mask: "reference", reference: corpus } } as const
      const report = yield* Evaluation.evaluate(counted)
      assert.deepStrictEqual(report.points.map(({ churn, gamma, seed, solver }) => `${solver} ${gamma} ${churn} ${seed}`), ["ode 0 0 1", "ode 0 0 2", "ode 0 5 1", "ode 0 5 2", "sde 1 0 1", "sde 1 0 2", "sde 2 0 1", "sde 2 0 2"])
      assert.deepStrictEqual(Evaluation.bySettings(report.points).map(({ points }) => points.length), [2, 2, 2, 2])
      assert.isTrue(report.scorer?.standIn)
      assert.match(report.scorer!.name, /^Kneser–Ney 3-grams of data\.parquet \(\d+ tokens\)$/)
      const file = readdirSync(request.output).find((name) => name.startsWith("scorer-"))!
      const again = yield* Evaluation.evaluate({ ...counted, protocol: { ...counted.protocol, scorer: { name: join(request.output, file) } } as Evaluation.Protocol }, (event) =>
        event.type === "corpus" ? Effect.die(new Error("the corpus was read again")) : Effect.void)
      assert.deepStrictEqual(again.points, report.points)
      // Text that was counted is likelier than text from an untrained network.
      assert.isBelow(report.reference!.perplexity!, Math.min(...report.points.map((point) => ("perplexity" in point ? point.perplexity! : 0))))
    })))

  it.effect("answers pairs of parquet or JSONL alike, and compares them with their outputs", () =>
    prepared(Effect.fnUntraced(function*(folder, request) {
      const to = (name: string, task: "translation" | "summarisation", output: string) =>
        Evaluation.evaluate({ ...request, output: join(folder, output), protocol: { task, data: { path: join(folder, name), inputColumn: "input", outputColumn: "output" } } })
      const parquet = yield* to("data.parquet", "translation", "out/parquet")
      const json = yield* to("data.jsonl", "summarisation", "out/json")
      const [answers] = textsOf(join(folder, "out/parquet"), parquet) as ReadonlyArray<ReadonlyArray<{ readonly text: string; readonly reference: string; readonly input: string }>>
      assert.deepStrictEqual(answers!.map(({ input }) => input), Array.from({ length: 5 }, (_, i) => tinyPrompt(i)))
      assert.deepStrictEqual(textsOf(join(folder, "out/json"), json)[0], answers)
      const [found] = parquet.points
      const [texts, references] = [answers!.map(({ text }) => text), answers!.map(({ reference }) => reference)]
      assert.isTrue("bleu" in found!)
      assert.strictEqual((found as Evaluation.ConditionalFigures).bleu, Bleu.corpus(texts, references, { lowercase: true }).bleu)
      assert.strictEqual((found as Evaluation.ConditionalFigures).rougeL, Rouge.corpus(texts, references).rougeL)
      assert.strictEqual(json.task, "summarisation")
    })))

  it.effect("refuses settings, scorers and data that are none, in words", () =>
    prepared(Effect.fnUntraced(function*(folder, request) {
      const refused = Effect.fnUntraced(function*(change: Partial<Evaluation.EvaluationRequest>, detail: RegExp) {
        const { message } = yield* Effect.flip(Evaluation.evaluate({ ...request, ...change, count: 1 }))
        assert.match(message, detail)
      })
      const withScorer = (scorer: Evaluation.ScorerChoice) => ({ protocol: { task: "unconditional", scorer, mask: "reference" } as const })
      const withData = (name: string, inputColumn = "input") => ({ protocol: { task: "translation", data: { path: join(folder, name), inputColumn, outputColumn: "output" } } as const })
      yield* refused({ sweep: { solver: ["euler" as "ode"] } }, /sample\.solver.*"euler"|sample\.solver/)
      yield* refused({ sweep: { steps: [0] } }, /sample\.steps/)
      yield* refused(withScorer({ name: "no-such-scorer" }), /no-such-scorer: there is no such folder or file/)
      yield* refused(withScorer({ name: folder }), /it has no model\.safetensors|config\.json/)
      yield* refused(withScorer({ name: join(folder, "data.parquet") }), /data\.parquet/)
      yield* refused(withData("data.jsonl", "inputs"), /data\.jsonl \(line 1\): its key "inputs" is no text \(its keys are text, input, output\)/)
      yield* Effect.promise(() => writeFile(join(folder, "broken.jsonl"), "{\"input\":\"a\",\"output\":\"b\"}\n{\"input\""))
      yield* refused(withData("broken.jsonl"), /broken\.jsonl \(line 2\): it is no JSON object/)
      yield* Effect.promise(() => writeFile(join(folder, "empty.jsonl"), ""))
      yield* refused(withData("empty.jsonl"), /empty\.jsonl: it has no row/)
    })))
})

describe("a file of n-grams", () => {
  const counts = KneserNey.count([0, 1, 0, 1, 0, 2, 0, 2, 1, 1], { order: 3, vocabulary: 4 })
  const origin = { corpus: "some.txt", identity: "x", tokens: 10 }

  it.effect("gives the same model when it is read again", () =>
    inFolder(Effect.fnUntraced(function*(folder) {
      const path = join(folder, "ngrams.safetensors")
      yield* writeNgrams(path, { counts, origin })
      const read = yield* readNgrams(path)
      assert.deepStrictEqual(read.origin, origin)
      const ids = [3, 0, 1, 0, 2, 1, 1, 3]
      assert.deepStrictEqual(KneserNey.model(read.counts).losses(ids), KneserNey.model(counts).losses(ids))
    })))

  it.effect("is refused where it is something else, or its rows are no tree", () =>
    inFolder(Effect.fnUntraced(function*(folder) {
      const other = yield* Effect.flip(readNgrams(join(gpt2, "model.safetensors")))
      assert.match(other.message, /it holds no n-grams/)
      const path = join(folder, "ngrams.safetensors")
      for (const trie of [{ ...counts.trie, parent: () => 99 }, { ...counts.trie, token: () => 4 }, { ...counts.trie, parent: () => 0, token: () => 1 }]) {
        yield* writeNgrams(path, { counts: { ...counts, trie }, origin })
        assert.match((yield* Effect.flip(readNgrams(path))).message, /its n-grams are damaged/)
      }
    })))
})

describe("tokens", () => {
  it.effect("the shipped vocabulary ends texts with EOS 1, which the counted corpus has between documents", () =>
    Effect.map(Tokenizer, ({ endOfSequenceId }) => assert.strictEqual(endOfSequenceId, 1)).pipe(Effect.provide(Tokenizer.layer)))
})
