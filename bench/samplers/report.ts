/**
 * The tables: means over seeds, with the least and the greatest.
 */

/** One sampler, number of evaluations and seed. */
export interface Cell {
  readonly name: string
  /** Evaluations that it might use. */
  readonly budget: number
  readonly seed: number
  /** Evaluations that it used for a text that went all the way. */
  readonly evaluations: number
  readonly perplexity: number
  /** Nats. */
  readonly entropy: number
  /** Time steps, mean over texts. */
  readonly stepsTaken: number
  /** Share of the texts that settled before the last step. */
  readonly settled: number
}

const mean = (values: ReadonlyArray<number>): number => values.reduce((a, b) => a + b, 0) / values.length

const spread = (values: ReadonlyArray<number>, digits: number): string => {
  const [least, greatest] = [Math.min(...values), Math.max(...values)]
  return `${mean(values).toFixed(digits)} (${least.toFixed(digits)}–${greatest.toFixed(digits)})`
}

/** How many seeds there are. */
const seedsOf = (cells: ReadonlyArray<Cell>): number => new Set(cells.map(({ seed }) => seed)).size

/** Cells of fewer than `seeds` seeds say so. */
const quality = (cells: ReadonlyArray<Cell>, seeds: number): string =>
  cells.length === 0 ? "–" : [
    spread(cells.map(({ perplexity }) => perplexity), 0),
    mean(cells.map(({ entropy }) => entropy)).toFixed(2),
    ...(seedsOf(cells) < seeds ? [`${seedsOf(cells)} of ${seeds} seeds`] : [])
  ].join(" · ")

const row = (columns: ReadonlyArray<string>): string => `| ${columns.join(" | ")} |`

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [row(head), row(head.map(() => "---")), ...rows.map(row), ""].join("\n")

const namesOf = (cells: ReadonlyArray<Cell>) => [...new Set(cells.map(({ name }) => name))]

const stopping = (name: string): boolean => name.includes("stable")

/** Markdown: perplexity (least–greatest of the seeds) · entropy. */
export const report = (cells: ReadonlyArray<Cell>, heldOut: { readonly perplexity: number; readonly entropy: number }): string => {
  const budgets = [...new Set(cells.map(({ budget }) => budget))].sort((a, b) => a - b)
  const seeds = seedsOf(cells)
  const full = cells.filter(({ name }) => !stopping(name))
  const stopped = cells.filter(({ name }) => stopping(name))
  return [
    table(["sampler", ...budgets.map((budget) => `${budget} evaluations`)], namesOf(full).map((name) =>
      [name, ...budgets.map((budget) => quality(full.filter((cell) => cell.name === name && cell.budget === budget), seeds))])),
    namesOf(stopped).length === 0 ? "" : table(["sampler", "of steps", "taken", "settled", "perplexity · entropy"], namesOf(stopped).map((name) => {
      const own = stopped.filter((cell) => cell.name === name)
      return [name, String(own[0]!.budget), mean(own.map(({ stepsTaken }) => stepsTaken)).toFixed(1), `${(100 * mean(own.map(({ settled }) => settled))).toFixed(0)} %`, quality(own, seeds)]
    })),
    `Held-out text: perplexity ${heldOut.perplexity.toFixed(0)}, entropy ${heldOut.entropy.toFixed(2)}.\n`
  ].join("\n")
}
