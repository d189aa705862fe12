/**
 * How much noise hides a token: in the latents of the encoder that ships, and in its token table without context.
 *
 *     npm run corpus && node bench/results/recognise.ts
 *
 * A latent is read as the most likely token, when each token's latents lie about their mean: the means and frequencies are of
 * 1,536 training rows, the latents of 64 held-out ones. Prints the share that is read right, for each ratio of latent to
 * noise t / ((1 − t) noiseScale).
 */
import * as tf from "@tensorflow/tfjs-core"
import { Effect } from "effect"
import { join } from "node:path"
import { keyed } from "../../src/flow/Random.ts"
import { T5Folder } from "../../src/io/index.ts"
import { Backend } from "../../src/model/Backend.ts"
import { Encoder } from "../../src/model/Encoder.ts"
import { Tokenizer } from "../../src/model/Tokenizer.ts"
import { root } from "./elf.ts"
import { latentsOf, makeTokenTable, withoutContext } from "./findings/tokenTable.ts"
import { contextual } from "./findings/variants.ts"

const ratios = [0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.7, 1]

type Latents = Effect.Success<ReturnType<typeof latentsOf>>

/** Tokens of the training rows with the mean of their latents and how often they occur. */
const classesOf = ({ ids, latents }: Latents) => {
  const width = latents.length / ids.length
  const counts = new Map<number, number>()
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1)
  const tokens = [...counts.keys()]
  const place = new Map(tokens.map((id, i) => [id, i]))
  const means = new Float32Array(tokens.length * width)
  ids.forEach((id, i) => {
    for (let channel = 0; channel < width; channel++) means[place.get(id)! * width + channel]! += latents[i * width + channel]! / counts.get(id)!
  })
  return { tokens, width, means: tf.tensor2d(means, [tokens.length, width]), logCounts: tf.tensor1d(tokens.map((id) => Math.log(counts.get(id)!))) }
}

/** The share of tokens that is read right at each ratio. */
const shares = (known: Latents, { ids, latents }: Latents): ReadonlyArray<number> => {
  const { logCounts, means, tokens, width } = classesOf(known)
  const noise = keyed(0).normal({ purpose: "recognise", index: 0 }, latents.length)
  return ratios.map((ratio) => tf.tidy(() => {
    const z = tf.tensor2d(latents.map((x, i) => ratio * x + noise[i]!), [ids.length, width])
    const centres = tf.mul(means, ratio) as tf.Tensor2D
    const scores = tf.add(tf.sub(tf.matMul(z, centres, false, true), tf.mul(0.5, tf.sum(tf.square(centres), 1))), logCounts)
    const read = tf.argMax(scores, 1).dataSync()
    return ids.filter((id, i) => tokens[read[i]!] === id).length / ids.length
  }))
}

const program = Effect.gen(function*() {
  const weights = yield* T5Folder.load(join(root, "models", "encoder-sotu"))
  const encoders = { contextual: Encoder.layerT5(weights, contextual), tokens: Encoder.layerT5(withoutContext(weights), yield* makeTokenTable()) }
  const backend = yield* Backend
  for (const [name, encoder] of Object.entries(encoders)) {
    const [known, asked] = yield* Effect.all([latentsOf("train", 1536), latentsOf("held-out", 64)]).pipe(Effect.provide(encoder))
    const right = yield* backend.kernel("recognise", () => shares(known, asked))
    process.stdout.write(`${name.padEnd(10)}  ${ratios.map((ratio, i) => `${ratio}: ${(100 * right[i]!).toFixed(0)} %`).join("  ")}\n`)
  }
})
await Effect.runPromise(program.pipe(Effect.provide([Backend.layer, Tokenizer.layer])))
