/**
 * What a source of random numbers is: every draw is a function of its key.
 *
 * @since 0.1.0
 */

/** Which draw: `purpose` names it ("noise"), `index` is the row's place in the stream, `step` the time step or turn. */
export interface DrawKey {
  readonly purpose: string
  /** Integer in [0, 2^52). */
  readonly index: number
  /** Integer in [0, 2^32); 0 when absent. */
  readonly step?: number
}

/** Where random numbers come from: every draw is a function of (seed, purpose, index, step) alone. */
export interface RandomSource {
  /** `length` values of N(0, 1); a source may write them into `out`, which has that length, and return it. */
  readonly normal: (key: DrawKey, length: number, out?: Float32Array) => Float32Array
  /** `length` values of U[0, 1), multiples of 2^-24. */
  readonly uniform: (key: DrawKey, length: number) => Float32Array
}
