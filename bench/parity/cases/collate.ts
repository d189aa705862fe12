/** `collate_*`: token lists → packed rows, their masks, and the mask of the encoder. */
import { Effect, Stream } from "effect"
import { encoderMask } from "../../../src/streams/embed.ts"
import { batch, packPairs, type Sequence } from "../../../src/streams/index.ts"
import type { FixtureCase } from "../Directory.ts"
import type { Finding, RunCase } from "../Finding.ts"

interface Collated {
  readonly rows: ReadonlyArray<{ readonly condition_input_ids?: ReadonlyArray<number>; readonly input_ids: ReadonlyArray<number> }>
  readonly max_seq_length: number
  readonly max_input_seq_length: number | null
  readonly pad_token_id: number
}

/** The case's token lists, packed. */
export const packed = ({ scalars }: FixtureCase<unknown, Collated>) => {
  const pairs = scalars.rows.map(({ condition_input_ids = [], input_ids }) => ({
    condition: Int32Array.from(condition_input_ids),
    target: Int32Array.from(input_ids)
  }))
  const options = { length: scalars.max_seq_length, maximumCondition: scalars.max_input_seq_length ?? 0, padId: scalars.pad_token_id }
  const embedded = Stream.map((row: Sequence) => ({ ...row, labelDropped: false, latents: new Float32Array(row.ids.length) }))
  return Stream.fromIterable(pairs).pipe(packPairs(options), embedded)
}

export const collateCase: RunCase = (directory, each) =>
  Effect.gen(function*() {
    const recorded = directory.fixture(each.name)
    const rows = yield* Stream.runCollect(packed(each as FixtureCase<unknown, Collated>))
    const [collated] = yield* Stream.fromIterable(rows).pipe(batch({ size: Math.max(1, rows.length) }), Stream.runCollect)
    const length = recorded.shape("input_ids")[1]!
    const expected = (array: string) => array === "input_ids" ? recorded.integers(array) : recorded.floats(array)
    const ours: Readonly<Record<string, ArrayLike<number> | undefined>> = {
      input_ids: collated?.ids,
      attention_mask: collated?.attentionMask,
      cond_seq_mask: collated?.conditionMask,
      encoder_attention_mask: encoderMask(rows, length) ?? new Float32Array(rows.length * length ** 2).fill(1)
    }
    return Object.entries(ours).filter(([array]) => recorded.has(array)).map(([array, actual = []]): Finding =>
      ({ array, quantity: "exact", actual, expected: expected(array) }))
  })
