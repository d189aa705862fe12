/**
 * An evaluation from checkpoint to report: write the texts of every point, then judge them.
 *
 * @since 0.1.0
 */
import { Effect, Layer, Stream } from "effect"
import { join, relative } from "node:path"
import { writeAtomically } from "../../io/atomicFile.ts"
import type { DiskError } from "../../io/Disk.ts"
import { Checkpoint, type RunConfig } from "../../io/index.ts"
import type { Mask } from "../../metrics/Perplexity.ts"
import { Tokenizer } from "../../model/Tokenizer.ts"
import { pack } from "../../streams/pack.ts"
import { tokenize } from "../../streams/tokenize.ts"
import { padAfterEndOfSequence } from "../../streams/trim.ts"
import { version } from "../../version.ts"
import { encoderIdentity, sha256OfFile } from "../inference/identity.ts"
import * as Pretrained from "../Pretrained.ts"
import { corpusIdentity, type CorpusPlace, documents, readPairs, type ReadTextsError, type TextPair } from "./data.ts"
import { EvaluationError } from "./EvaluationError.ts"
import { conditionalFigures, generativeFigures } from "./figures.ts"
import { findScorer } from "./openScorer.ts"
import { plot } from "./plot.ts"
import { type Point, pointsOf } from "./points.ts"
import type { EvaluationReport, PointReport } from "./report.ts"
import type { EvaluationRequest, Protocol } from "./request.ts"
import { Scorer } from "./Scorer.ts"
import { answers, fromNoise, ofLength, textsFile, type TextSource, writeTexts, writtenTexts } from "./write.ts"

/** What an evaluation tells as it goes. */
export type EvaluationEvent =
  /** Texts that are to be written, those that are there already, and time steps of the rest. */
  | { readonly type: "planned"; readonly points: number; readonly texts: number; readonly known: number; readonly work: number }
  | { readonly type: "point"; readonly index: number; readonly name: string }
  /** So many texts more are written. */
  | { readonly type: "written"; readonly texts: number; readonly work: number }
  /** So many tokens of the scorer's corpus have been read. */
  | { readonly type: "corpus"; readonly tokens: number }
  | { readonly type: "judging"; readonly scorer: string; readonly texts: number }
  /** So many texts more are judged. */
  | { readonly type: "judged"; readonly texts: number }

/** Is told of every event. */
export type Tell = (event: EvaluationEvent) => Effect.Effect<void>

type Generative = Extract<Protocol, { readonly task: "unconditional" }>
type Conditional = Exclude<Protocol, Generative>

/** The texts of points, and what they answer. */
interface Writing {
  readonly run: RunConfig.RunConfig
  readonly points: ReadonlyArray<Point>
  readonly pairs: ReadonlyArray<TextPair> | undefined
  readonly count: number
}

const describeWork = Effect.fnUntraced(function*({ count, points }: Writing, folder: string) {
  const missing = yield* Effect.forEach(points, (point) => Effect.map(writtenTexts(folder, point), (known) => Math.max(0, count - known)))
  const left = missing.reduce((a, b) => a + b, 0)
  const work = missing.reduce((sum, texts, i) => sum + texts * points[i]!.choice.steps, 0)
  return { type: "planned", points: points.length, texts: points.length * count, known: points.length * count - left, work } as const
})

const writeAll = <E, R>(source: TextSource<E, R>, writing: Writing, { batchSize, output: folder }: EvaluationRequest, tell: Tell) =>
  Effect.forEach(writing.points, (point, index) =>
    Effect.andThen(
      tell({ type: "point", index, name: point.name }),
      writeTexts(source, { ...writing, point, folder, batchSize, seen: (texts) => tell({ type: "written", texts, work: texts * point.choice.steps }) })
    ))

/** The first `count` texts of a corpus as a network's rows of `length` tokens have them: packed, cut, and ended by their first EOS. */
export const referenceTexts = (place: CorpusPlace, length: number, count: number) =>
  Effect.gen(function*() {
    const { decode, endOfSequenceId, padId } = yield* Tokenizer
    return yield* documents(place).pipe(
      tokenize,
      pack({ length, endOfSequenceId, padId, remainder: "drop" }),
      Stream.mapEffect(({ ids }) => decode(padAfterEndOfSequence(ids, endOfSequenceId, padId))),
      Stream.take(count),
      Stream.runCollect
    )
  })

const settingsOf = ({ choice }: Point) => {
  const { count: _, ...sampler } = choice
  const { churn, gamma, guidanceScale, seed, selfConditionScale, solver, steps, timeGrid } = choice
  return { solver, steps, gamma, churn, guidanceScale, selfConditionScale, timeGrid, seed, sampler }
}

const pointReport = <F>(point: Point, figures: F, folder: string) => ({ ...settingsOf(point), file: relative(folder, textsFile(folder, point)), ...figures })

/** The scorer and the real texts of a request: a mistake in them must not show after hours of writing. */
const prepareJudging = Effect.fnUntraced(function*({ run: { model } }: Writing, { reference, scorer }: Generative, count: number, tell: Tell) {
  const layer = yield* findScorer(scorer, (tokens) => tell({ type: "corpus", tokens }))
  const real = reference === undefined ? undefined : { path: reference.path, texts: yield* referenceTexts(reference, model.length, count) }
  if (real?.texts.length === 0) return yield* new EvaluationError({ reason: "data", where: real.path, detail: `its texts do not fill one row of ${model.length} tokens`, remedy: "give more text" })
  return { layer, real }
})

/** The figures of every point, and of real texts. */
const judgeGenerative = Effect.fnUntraced(function*(
  writing: Writing,
  written: ReadonlyArray<ReadonlyArray<string>>,
  mask: Mask,
  real: { readonly path: string; readonly texts: ReadonlyArray<string> } | undefined,
  folder: string,
  tell: Tell
) {
  const { judge: _, ...scorer } = yield* Scorer
  const seen = (texts: number) => tell({ type: "judged", texts })
  yield* tell({ type: "judging", scorer: scorer.name, texts: [...written, real?.texts ?? []].reduce((sum, { length }) => sum + length, 0) })
  const points = yield* Effect.forEach(written, (texts, i) =>
    Effect.map(generativeFigures(texts, mask, folder, seen), (figures): PointReport => pointReport(writing.points[i]!, figures, folder)))
  const yardstick = real === undefined ? {} : { reference: { path: real.path, ...(yield* generativeFigures(real.texts, mask, folder, seen)) } }
  return { points, scorer, mask, ...yardstick }
})

const judgeConditional = Effect.fnUntraced(function*(writing: Writing, written: ReadonlyArray<ReadonlyArray<string>>, folder: string) {
  const references = writing.pairs!.map(({ output }) => output)
  return yield* Effect.forEach(written, (texts, i) =>
    Effect.map(conditionalFigures(texts, references), (figures): PointReport => pointReport(writing.points[i]!, figures, folder)))
})

const save = (path: string, text: string): Effect.Effect<void, DiskError> =>
  writeAtomically(path, (error) => error, ({ append }) => append(Buffer.from(text)))

const checkRequest = ({ batchSize, count }: EvaluationRequest): Effect.Effect<void, EvaluationError> => {
  const refuse = (where: string, value: number) => Effect.fail(new EvaluationError({ reason: "request", where, detail: `it is ${value}`, remedy: "give a whole number of at least 1" }))
  if (!Number.isSafeInteger(count) || count < 1) return refuse("count", count)
  return Number.isSafeInteger(batchSize) && batchSize >= 1 ? Effect.void : refuse("batchSize", batchSize)
}

/** Network, inputs and points of a request. */
interface Prepared {
  readonly checkpoint: EvaluationReport["checkpoint"]
  readonly pretrained: Pretrained.Pretrained
  readonly writing: Writing
}

type PrepareError = DiskError | EvaluationError | Pretrained.OpenError | ReadTextsError

const prepare = Effect.fnUntraced(function*(request: EvaluationRequest): Effect.fn.Return<Prepared, PrepareError> {
  const { checkpoint, protocol } = request
  yield* checkRequest(request)
  const { path, step } = yield* Checkpoint.read(checkpoint)
  const pretrained = yield* Pretrained.open(checkpoint)
  const sha256 = yield* sha256OfFile(join(path, "checkpoint.json"))
  const data = "data" in protocol ? protocol.data : undefined
  const inputs = data === undefined ? undefined : [yield* encoderIdentity(pretrained.run.encoder), yield* corpusIdentity({ path: data.path, column: data.inputColumn })]
  const pairs = data === undefined ? undefined : yield* readPairs(data, request.count)
  const points = yield* pointsOf(pretrained.run, request, { sha256, inputs, version })
  const writing: Writing = { run: pretrained.run, points, pairs, count: pairs?.length ?? request.count }
  return { checkpoint: { path, step, sha256 }, pretrained, writing }
})

type Found = Pick<EvaluationReport, "points"> & Partial<EvaluationReport>

const unconditional = Effect.fnUntraced(function*(request: EvaluationRequest, protocol: Generative, { pretrained, writing }: Prepared, tell: Tell) {
  const { layer, real } = yield* prepareJudging(writing, protocol, request.count, tell).pipe(Effect.provide(pretrained.tokenizer))
  yield* tell(yield* describeWork(writing, request.output))
  // The network is gone before the scorer comes.
  const written = yield* writing.points.every(({ choice }) => choice.length === undefined)
    ? writeAll(fromNoise, writing, request, tell).pipe(Effect.provide(Layer.merge(pretrained.network, pretrained.tokenizer)))
    : writeAll(ofLength, writing, request, tell).pipe(Effect.provide(pretrained.layer))
  return (yield* judgeGenerative(writing, written, protocol.mask, real, request.output, tell).pipe(Effect.provide(layer))) as Found
})

const conditional = Effect.fnUntraced(function*(request: EvaluationRequest, { data }: Conditional, { pretrained, writing }: Prepared, tell: Tell) {
  yield* tell(yield* describeWork(writing, request.output))
  const written = yield* writeAll(answers, writing, request, tell).pipe(Effect.provide(pretrained.layer))
  return { points: yield* judgeConditional(writing, written, request.output).pipe(Effect.provide(Tokenizer.layer)), data } as Found
})

/**
 * Evaluates a checkpoint and writes `report.json` and `plot.svg` into the output folder, beside the texts. Stopped at any
 * time, the same request goes on where it was.
 */
export const evaluate = Effect.fnUntraced(function*(request: EvaluationRequest, tell: Tell = () => Effect.void) {
  const { output, protocol } = request
  const prepared = yield* prepare(request)
  const { checkpoint, pretrained, writing } = prepared
  const found = protocol.task === "unconditional"
    ? yield* unconditional(request, protocol, prepared, tell)
    : yield* conditional(request, protocol, prepared, tell)
  const report: EvaluationReport = {
    task: protocol.task,
    checkpoint,
    seeds: [...new Set(writing.points.map(({ choice }) => choice.seed))],
    count: writing.count,
    ...found,
    configuration: pretrained.run,
    version
  }
  yield* save(join(output, "report.json"), `${JSON.stringify(report, null, 2)}\n`)
  yield* save(join(output, "plot.svg"), plot(report))
  return report
})
