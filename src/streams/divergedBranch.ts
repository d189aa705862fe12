/**
 * Which of the two branches diverged: looked into only once one has.
 */
import * as tf from "@tensorflow/tfjs-core"
import type { Elf } from "../model/Elf.ts"
import { lossAndGradients, type Losses, type TrainingRows } from "../model/Loss.ts"
import { globalNorm } from "../model/Optimizer.ts"
import type { DivergedBranch } from "./DivergedError.ts"
import { flagged } from "./rows.ts"

type Values = Float32Array | Int32Array | Uint8Array

/** The given rows of every array of a batch. */
const only = <B extends TrainingRows>(batch: B, rows: ReadonlyArray<number>): B => {
  const perRow = (name: string): number => ["t", "selfConditionScale", "decoderActive"].includes(name) ? 1 : ["lossMask", "ids"].includes(name) ? batch.length : batch.length * batch.width
  const part = (name: string, values: Values): Values => {
    const size = perRow(name)
    const out = values.slice(0, rows.length * size)
    rows.forEach((row, i) => out.set(values.subarray(row * size, (row + 1) * size), i * size))
    return out
  }
  const names = ["z", "selfCondition", "t", "selfConditionScale", "decoderActive", "lossMask", "ids", "velocityTarget", "predictionTarget"]
  const arrays = names.flatMap((name) => {
    const values = batch[name as keyof B] as Values | undefined
    return values === undefined ? [] : [[name, part(name, values)] as const]
  })
  return { ...batch, size: rows.length, ...Object.fromEntries(arrays) }
}

const normOf = (elf: Elf, batch: TrainingRows, rows: ReadonlyArray<number>, timeEpsilon: number): number =>
  rows.length === 0 ? 0 : tf.tidy(() => globalNorm(lossAndGradients(elf, only(batch, rows), timeEpsilon).gradients))

const named = (denoiser: boolean, decoder: boolean): DivergedBranch =>
  denoiser === decoder ? "both" : denoiser ? "denoiser" : "decoder"

/**
 * The branch whose loss is not finite; where both losses are, the one whose gradient is not, for which each branch goes
 * forwards and backwards by itself. Synchronous; call it inside a kernel.
 */
export const divergedBranch = (elf: Elf, batch: TrainingRows, timeEpsilon: number, { decoderLoss, denoiserLoss }: Losses): DivergedBranch => {
  if (!Number.isFinite(denoiserLoss) || !Number.isFinite(decoderLoss)) return named(!Number.isFinite(denoiserLoss), !Number.isFinite(decoderLoss))
  const norm = (flag: 0 | 1) => normOf(elf, batch, flagged(batch.decoderActive, flag), timeEpsilon)
  return named(!Number.isFinite(norm(0)), !Number.isFinite(norm(1)))
}
