/** An encoder folder of a few thousand weights, of T5's vocabulary. */
import { Effect } from "effect"
import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { keyed } from "../../src/flow/Random.ts"
import { Safetensors } from "../../src/io/index.ts"
import { initialT5 } from "../../src/model/Initialization.ts"
import type { T5Config } from "../../src/model/T5Encoder.ts"

const encoder: T5Config = {
  vocab_size: 32_100,
  d_model: 8,
  d_kv: 4,
  d_ff: 16,
  num_layers: 1,
  num_heads: 2,
  relative_attention_num_buckets: 32,
  relative_attention_max_distance: 128,
  feed_forward_proj: "relu"
}

/** Writes the folder, which need not be there. */
export const writeTinyEncoder = Effect.fnUntraced(function*(folder: string) {
  yield* Effect.promise(() => mkdir(folder, { recursive: true }))
  yield* Effect.promise(() => writeFile(join(folder, "config.json"), JSON.stringify(encoder)))
  const tensors = initialT5(encoder, keyed(0)).map((tensor) => ({ ...tensor, dtype: "F32" as const }))
  yield* Safetensors.write(join(folder, "model.safetensors"), tensors)
})
