/** Long runs of the tiny network, watched for tensors and memory that stay behind. */
import { Effect, Fiber, Stream } from "effect"
import { TimeGrid } from "../../src/flow/index.ts"
import { Backend } from "../../src/model/Backend.ts"
import { generate } from "../../src/streams/generate.ts"
import { sample } from "../../src/streams/sample.ts"
import { drawsOf } from "../fuzz/Reader.ts"
import { tinyBatch, tinyEncoder, tinyNetwork, tinyState, tinyTokenizer } from "../support/tinyModel.ts"
import { training } from "../support/training.ts"

/** Memory of the process after so many steps, after a garbage collection where `node --expose-gc` allows one. */
export interface Mark {
  readonly step: number
  readonly tensors: number
  readonly resident: number
}

/** What a long run left behind. */
export interface SoakReport {
  readonly steps: number
  /** Least and most live tensors at the marks. */
  readonly tensors: readonly [least: number, most: number]
  /** Bytes by which the process grows in a thousand steps: the slope of a straight line through the later half of the marks. */
  readonly slope: number
  readonly marks: ReadonlyArray<Mark>
}

const collect = (globalThis as { readonly gc?: () => void }).gc ?? (() => {})

const mark = (step: number) =>
  Effect.map(Effect.flatMap(Backend, ({ live }) => live), (tensors): Mark => {
    collect()
    return { step, tensors, resident: process.memoryUsage.rss() }
  })

const slopeOf = (marks: ReadonlyArray<Mark>): number => {
  const mean = (of: (mark: Mark) => number) => marks.reduce((sum, mark) => sum + of(mark), 0) / marks.length
  const [x, y] = [mean(({ step }) => step), mean(({ resident }) => resident)]
  const spread = marks.reduce((sum, { step }) => sum + (step - x) ** 2, 0)
  return spread === 0 ? 0 : 1000 * marks.reduce((sum, { resident, step }) => sum + (step - x) * (resident - y), 0) / spread
}

const reportOf = (marks: ReadonlyArray<Mark>): SoakReport => {
  const tensors = marks.map(({ tensors }) => tensors)
  return { steps: marks.at(-1)?.step ?? 0, tensors: [Math.min(...tensors), Math.max(...tensors)], slope: slopeOf(marks.slice(marks.length >> 1)), marks }
}

/** Marks at every `every`-th element, and a word about each. */
const watched = <E, R>(stream: Stream.Stream<number, E, R>, every: number, tell: (mark: Mark) => void) =>
  Effect.gen(function*() {
    const marks: Array<Mark> = []
    yield* Stream.runForEach(stream, (step) =>
      step % every !== 0 ? Effect.void : Effect.map(mark(step), (made) => {
        marks.push(made)
        tell(made)
      }))
    return reportOf(marks)
  })

/** What can be soaked. */
export const soaks = ["train", "sample", "interrupt"] as const
export type Soak = typeof soaks[number]

/** Made one by one: `Stream.map` would make a chunk of thousands. */
const oneByOne = Stream.mapEffect((i: number) => Effect.sync(() => tinyBatch((2 * i) % 1000, 2)))

const trainSteps = (steps: number) =>
  Stream.range(0, steps - 1).pipe(oneByOne, training(), Stream.map(({ step }) => step))

/** One time step of the sampler after the other, a fresh sample every 32. */
const sampleSteps = (steps: number) =>
  Stream.range(0, Math.ceil(steps / 32) - 1).pipe(
    Stream.flatMap((i) => Stream.fromIterable(TimeGrid.uniform(32)).pipe(sample({ keys: [2 * i, 2 * i + 1], seed: 3, selfConditionScale: 2, gamma: 1 }))),
    Stream.take(steps),
    Stream.mapAccum(() => 0, (count) => [count + 1, [count + 1]] as const)
  )

const prompts = Stream.map(Stream.range(0, 1000), (i) => `prompt ${i}`)

/** Endless runs of three kinds: training, sampling, answering. */
const endless = [
  () => Stream.runDrain(trainSteps(10_000)),
  () => Stream.runDrain(sampleSteps(10_000)),
  () => Stream.runDrain(generate({ steps: 8, seed: 5, batchSize: 4 })(prompts))
]

const turns = (count: number) => Effect.repeat(Effect.yieldNow, { times: count })

/** Starts a run, lets it do something for a number of turns, and interrupts it. */
const interruptedRun = Effect.fnUntraced(function*(index: number) {
  const draw = drawsOf(20261124, index)
  const fiber = yield* Effect.forkChild(endless[index % endless.length]!())
  yield* turns(draw(12))
  yield* Fiber.interrupt(fiber)
  return index + 1
})

const interruptions = (runs: number) => Stream.mapEffect(Stream.range(0, runs - 1), interruptedRun)

/** Runs one soak, `every` steps a mark; needs a `Backend`. */
export const soak = (kind: Soak, steps: number, every: number, tell: (mark: Mark) => void = () => {}) => {
  if (kind === "train") return Effect.provide(watched(trainSteps(steps), every, tell), tinyState())
  if (kind === "sample") return Effect.provide(watched(sampleSteps(steps), every, tell), tinyNetwork())
  return watched(interruptions(steps), every, tell).pipe(Effect.provide([tinyState(), tinyEncoder, tinyTokenizer]))
}
