/**
 * What a model of the pairs has to beat, as files of one text a line for `elf score`.
 *
 *     node scripts/pairs.ts && node scripts/pair-baselines.ts [FOLDER]        default FOLDER: out/pairs
 *
 * Beside each task's `test.parquet`: `references.txt`; `copy.txt`, the input itself; `first-sentence.txt`, the input's first
 * sentence; `frequent.txt`, the training output that is most alike to all others by its words, the same for every input;
 * and `nearest.txt`, the output of the training pair whose input is nearest (TF-IDF).
 */
import { Effect, Stream } from "effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { Parquet } from "../src/io/index.ts"
import { nearestOf } from "./pairs/nearest.ts"
import { form, sentences } from "./pairs/text.ts"

interface TextPair {
  readonly condition: string
  readonly target: string
}

const read = (folder: string, part: string) =>
  Parquet.readPairs(join(folder, `${part}.parquet`), { condition: "input", target: "output" }).pipe(Stream.runCollect)

const wordCounts = (pairs: ReadonlyArray<TextPair>): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const { target } of pairs) for (const word of new Set(form(target).split(" "))) counts.set(word, (counts.get(word) ?? 0) + 1)
  return counts
}

/** No output occurs twice; so: the one whose words occur in most of the others, on average. */
export const mostTypical = (pairs: ReadonlyArray<TextPair>): string => {
  const counts = wordCounts(pairs)
  const score = (text: string): number => {
    const words = form(text).split(" ")
    return words.length < 4 ? 0 : words.reduce((sum, word) => sum + counts.get(word)!, 0) / words.length
  }
  return pairs.map(({ target }) => ({ target, score: score(target) })).reduce((best, next) => next.score > best.score ? next : best).target
}

const write = Effect.fnUntraced(function*(folder: string) {
  const train = yield* read(folder, "train")
  const test = yield* read(folder, "test")
  const nearest = nearestOf(train.map(({ condition }) => condition))
  const frequent = mostTypical(train)
  const files: Record<string, ReadonlyArray<string>> = {
    references: test.map(({ target }) => target),
    copy: test.map(({ condition }) => condition),
    "first-sentence": test.map(({ condition }) => sentences(condition)[0] ?? condition),
    frequent: test.map(() => frequent),
    nearest: test.map(({ condition }) => train[nearest(condition)]?.target ?? frequent)
  }
  for (const [name, texts] of Object.entries(files)) writeFileSync(join(folder, `${name}.txt`), texts.map((text) => `${text}\n`).join(""))
  console.log(`${folder}: ${test.length} rows; the typical output is "${frequent}"`)
})

if (import.meta.main) {
  const folder = process.argv[2] ?? "out/pairs"
  await Effect.runPromise(Effect.forEach(["de-en", "synopsis"], (task) => write(join(folder, task)), { discard: true }))
}
