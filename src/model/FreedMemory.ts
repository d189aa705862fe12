/**
 * Memory that was freed and lies idle.
 *
 * Notable: the kernels' addon makes the process keep what it frees, since most of it is needed again at once. What building a
 * state leaves behind, a host copy of all weights, is not: tensors have a pool of their own and never come back for it.
 */
import { ownKernels } from "./backend/ownKernels.ts"

/** Gives all freed memory of this process back to the system, where the kernels keep it. Call it inside a kernel. */
export const giveBackFreedMemory = (): void => void ownKernels()?.("ElfGiveBack", [], 0)
