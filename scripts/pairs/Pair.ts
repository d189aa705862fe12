/** What is read, what is to be written, and what must not be torn apart by a split. */
export interface Pair {
  readonly input: string
  readonly output: string
  /** Where it comes from: a package of Debian. */
  readonly source: string
  /** Pairs that share one of these stay together. */
  readonly families: ReadonlyArray<string>
}
