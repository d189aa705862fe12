/** Figures of one measurement as a table for people. */
import type { Effect } from "effect"
import type { measure } from "./measure.ts"
import type { Timing } from "./timing.ts"

/** What {@link measure} gives. */
export type Figures = Effect.Success<ReturnType<typeof measure>>

const milliseconds = (seconds: number): string => (seconds * 1000).toFixed(seconds < 0.1 ? 1 : 0).padStart(8)

const line = (name: string, { max_s, median_s, min_s, reps }: Timing, note = ""): string =>
  `${name.padEnd(26)}${[min_s, median_s, max_s].map(milliseconds).join("")}  × ${String(reps).padEnd(3)} ${note}`.trimEnd()

const percent = (share: number): string => `${Math.round(100 * share)} % of the limit`

/** One line a thing. */
export const table = (figures: Figures): string => {
  const { config } = figures
  return [
    `${config.name}: hidden ${config.hidden}, depth ${config.depth}, ${config.heads} heads, ${config.batch} × ${config.seq} tokens, vocabulary ${config.vocab}, ${config.optimizer}`,
    `engine: ${figures.engine}; a 2048² product: ${figures.matmul_limit_gflops} GFLOP/s`,
    `${"milliseconds".padEnd(26)}     min  median     max`,
    line("train step", figures.train_step, `${figures.train_tokens_per_s_median} tokens/s, ${figures.step_gflop} GFLOP, ${percent(figures.step_share_of_limit)}`),
    line("optimiser alone", figures.optimizer_step_only),
    line("forward, prediction", figures.forward_denoise_nograd, percent(figures.forward_share_of_limit)),
    line("forward, logits", figures.forward_decode_nograd),
    line(`${config.sample_steps} SDE steps, decoding`, figures.sample_sde_plus_decode, `${figures.sample_seqs_per_s_median} sequences/s, ${percent(figures.sample_share_of_limit)}`),
    `peak memory ${figures.train_max_rss_mb} MB in training, ${figures.max_rss_mb} MB in all`,
    ""
  ].join("\n")
}
