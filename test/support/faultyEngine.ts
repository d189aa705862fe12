/** Engines whose memory runs out at a chosen operation. */
import * as tf from "@tensorflow/tfjs-core"

/** What libtensorflow says when it has no memory left. */
const exhausted = "Invalid TF_Status: 8\nMessage: OOM when allocating tensor with shape[12,32] and type float on /device:CPU:0 by allocator cpu"

type Run = (...parameters: ReadonlyArray<unknown>) => unknown

/** The two ways in which tfjs-node's backend runs operations. */
const ways = ["executeSingleOutput", "executeMultipleOutputs"] as const

/** Runs synchronous or asynchronous work; operation `failAt` (from 0) fails. Returns how many were asked for. */
export const withFailingOperation = async <A>(failAt: number, work: () => Promise<A>): Promise<{ readonly value: A; readonly operations: number }> => {
  const backend = tf.backend() as unknown as Record<typeof ways[number], Run>
  const originals = ways.map((way) => backend[way])
  let operations = 0
  ways.forEach((way, i) => {
    backend[way] = (...parameters) => {
      if (operations++ === failAt) throw new Error(exhausted)
      return originals[i]!.apply(backend, [...parameters])
    }
  })
  try {
    return { value: await work(), operations }
  } finally {
    ways.forEach((way, i) => { backend[way] = originals[i]! })
  }
}
