/**
 * Texts from noise: latents that one network samples, read by each of several decoders. A separate decoder is the stage
 * `decode` with another network provided to it.
 */
import { Effect, Option, Stream } from "effect"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { Tokenizer } from "../../../src/model/Tokenizer.ts"
import { type Pretrained } from "../../../src/run/Pretrained.ts"
import { samplerChoice, samplerOptions, timeSteps } from "../../../src/run/sampling.ts"
import { decode, padAfterEndOfSequence, sample, type Sampled } from "../../../src/streams/index.ts"
import { folder, type VariantName } from "./variants.ts"

/** A sampler, a decoder, and the settings that texts are written with. */
export interface Point {
  readonly sampler: VariantName
  readonly decoder: VariantName
  /** Seed of both trainings, and of sampling. */
  readonly seed: number
  readonly solver: "ode" | "sde"
  readonly steps: number
  /** Self-conditioning scale. */
  readonly scale: number
}

/** Whose latents are read by whom: each network by itself, the base's by the separate decoder, and two separate networks. */
const pairs: ReadonlyArray<readonly [sampler: VariantName, decoder: VariantName]> =
  [["base", "base"], ["larger", "larger"], ["tokens", "tokens"], ["tokensSameNoise", "tokensSameNoise"], ["base", "decoder"], ["base", "briefDecoder"], ["denoiser", "decoder"]]

/** The settings that each pair is written with. */
const settings = [[32, 1], [32, 2], [32, 4], [16, 2], [64, 2]].map(([steps, scale]) => ({ solver: "ode", steps: steps!, scale: scale! } as const))

/** All points of a seed. */
export const pointsOf = (seed: number): ReadonlyArray<Point> =>
  settings.flatMap((setting) => pairs.map(([sampler, decoder]): Point => ({ sampler, decoder, seed, ...setting })))

/** Texts of each point. */
export const count = 64

const rowsAtOnce = 32

/** The file of a point's texts. */
export const textsFile = ({ decoder, sampler, scale, seed, solver, steps }: Point): string =>
  join(folder, "texts", `${sampler}-by-${decoder}_${solver}-${steps}_scale-${scale}_seed-${seed}.json`)

export const readTexts = (point: Point): ReadonlyArray<string> => JSON.parse(readFileSync(textsFile(point), "utf8")) as ReadonlyArray<string>

const latents = Effect.fnUntraced(function*({ network, run }: Pretrained, { scale, seed, solver, steps }: Point, keys: ReadonlyArray<number>) {
  const choice = samplerChoice(run, { seed, solver, gamma: 1, steps, selfConditionScale: scale })
  const states = Stream.fromIterable(timeSteps(run, choice), { chunkSize: 1 }).pipe(sample({ ...samplerOptions(choice), seed, keys }), Stream.runLast)
  return Option.getOrThrow(yield* states.pipe(Effect.provide(network)))
})

const textsOf = Effect.fnUntraced(function*(sampled: Sampled, { network }: Pretrained, { scale }: Point) {
  const tokenizer = yield* Tokenizer
  const [decoded] = yield* Stream.make(sampled).pipe(decode({ selfConditionScale: scale }), Stream.runCollect, Effect.provide(network))
  return yield* Effect.forEach(decoded!.ids, (ids) => tokenizer.decode(padAfterEndOfSequence(ids, tokenizer.endOfSequenceId, tokenizer.padId)))
})

/** Writes the texts of points that differ in their decoder alone, from the same latents, where they are not there yet. */
export const write = Effect.fnUntraced(function*(points: ReadonlyArray<Point>, open: (variant: VariantName) => Pretrained) {
  const missing = points.filter((point) => !existsSync(textsFile(point)))
  const [first] = missing
  if (first === undefined) return
  const texts = missing.map((): Array<string> => [])
  for (let key = 0; key < count; key += rowsAtOnce) {
    const sampled = yield* latents(open(first.sampler), first, Array.from({ length: rowsAtOnce }, (_, i) => key + i))
    for (const [i, point] of missing.entries()) texts[i]!.push(...yield* textsOf(sampled, open(point.decoder), point))
  }
  for (const [i, point] of missing.entries()) {
    mkdirSync(dirname(textsFile(point)), { recursive: true })
    writeFileSync(textsFile(point), JSON.stringify(texts[i]))
  }
})
