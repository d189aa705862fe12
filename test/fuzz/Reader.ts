/** What a fuzzer needs to know about one reader of files. */
import { Schema } from "effect"
import type { Effect } from "effect"

/** Draws a whole number from [0, bound). */
export type Draw = (bound: number) => number

/** A changed file: its bytes, or several files by name where the reader reads a folder. */
export type Case = Uint8Array | Readonly<Record<string, Uint8Array>>

/** One reader, files that it reads, and what hostile files of its kind look like. */
export interface Reader {
  /** Makes the case that these draws lead to. */
  readonly make: (draw: Draw) => Case
  /**
   * Reads the whole file and checks that what it gives is a value. Fails with typed errors only; dies where a value is
   * none.
   */
  readonly read: (from: Case) => Effect.Effect<unknown, unknown>
  /** Whether an error is one of those that the reader promises. */
  readonly isTyped: (error: unknown) => boolean
}

/** A value that is none: its reader let something through. */
class NoValue extends Schema.TaggedError<NoValue>()("NoValue", { what: Schema.String }) {
  override get message(): string {
    return `it was read, but ${this.what}`
  }
}

/** Throws unless `holds`: what was read has to be a value. */
export const require = (holds: boolean, what: string): void => {
  if (!holds) throw new NoValue({ what })
}

const mixed = (value: number): number => {
  let x = value >>> 0
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad)
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97)
  return (x ^ (x >>> 15)) >>> 0
}

/** The draws of case `index` of a seed: the same ones whichever cases came before. */
export const drawsOf = (seed: number, index: number): Draw => {
  let state = mixed(mixed(seed) ^ Math.imul(index + 1, 0x9e3779b9))
  return (bound) => {
    state = (state + 0x9e3779b9) >>> 0
    return Math.floor((mixed(state) / 2 ** 32) * bound)
  }
}

/** One of `items`. */
export const pick = <A>(draw: Draw, items: ReadonlyArray<A>): A => items[draw(items.length)]!
