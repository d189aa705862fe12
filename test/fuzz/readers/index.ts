/** All readers by name. */
import type { Reader } from "../Reader.ts"

/** How to load each: a process fuzzes one. */
export const readers: Readonly<Record<string, () => Promise<Reader>>> = {
  safetensors: async () => (await import("./safetensors.ts")).safetensors,
  torch: async () => (await import("./torch.ts")).torch,
  flax: async () => (await import("./flax.ts")).flax,
  tokenizer: async () => (await import("./tokenizer.ts")).tokenizer,
  "run-file": async () => (await import("./runFile.ts")).runFile,
  parquet: async () => (await import("./parquet.ts")).parquet,
  checkpoint: async () => (await import("./checkpoint.ts")).checkpoint,
  encoder: async () => (await import("./encoder.ts")).encoder,
  inference: async () => (await import("./inference.ts")).inference,
  scorer: async () => (await import("./scorer.ts")).scorer
}
