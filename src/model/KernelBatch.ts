/**
 * What a kernel has in hand when memory runs out, and which of its sizes can be lowered.
 */
import type { KernelBatch } from "./backend/errors.ts"

/** A batch of training: smaller ones, accumulated, make the same updates. */
export const trainingBatch = ({ length, size }: { readonly size: number; readonly length: number }): KernelBatch => ({
  rows: size,
  length,
  remedy: "Lower data.batchSize and raise optimizer.gradientAccumulation by as much, which makes the same updates, or lower model.length"
})

/** Rows that are sampled, encoded or scored together: how many there are at once changes no result. */
export const rowsAtOnce = (rows: number, length: number): KernelBatch => ({
  rows,
  length,
  remedy: "Lower the number of rows at once (batchSize; elf infer --batch-size, elf sample --count): it changes no row's result"
})
