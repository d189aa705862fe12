/**
 * Looking ahead: preparing the next elements while the present one is in use.
 *
 * @since 0.1.0
 */
import { Stream } from "effect"
import { requireArgument } from "../flow/errors.ts"

/**
 * Runs the upstream in a fiber of its own, up to about 2·`depth` elements ahead. Values and order are kept, whatever
 * the depth; `prefetch(0)` changes nothing at all.
 *
 * **Gotchas** Host data only: an element in the buffer may be dropped unseen, and nobody would release a tensor in it.
 * So device work goes behind `prefetch`, never before it. It gains time only where the upstream waits for something
 * else than this thread: files, or the tokenizer's own threads.
 */
export const prefetch = (depth: number): <A, E, R>(upstream: Stream.Stream<A, E, R>) => Stream.Stream<A, E, R> => {
  requireArgument(Number.isSafeInteger(depth) && depth >= 0, "prefetch.depth", "an integer ≥ 0", depth)
  return (upstream) => depth === 0 ? upstream : Stream.buffer(upstream, { capacity: depth })
}
