/**
 * A counted corpus as a file: safetensors with one row a node of the tree, and what was counted in its header.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { Safetensors } from "../../io/index.ts"
import type { NgramCorpus } from "../../metrics/KneserNey.ts"
import { makeTrie } from "../../metrics/NgramTrie.ts"
import { EvaluationError } from "./EvaluationError.ts"

/** What the counts are of. */
export interface NgramOrigin {
  /** Files that were counted, for people. */
  readonly corpus: string
  /** Tells two corpora apart. */
  readonly identity: string
  /** Tokens that were counted. */
  readonly tokens: number
}

/** Counts and what they are of. */
export interface StoredNgrams {
  readonly origin: NgramOrigin
  readonly counts: NgramCorpus
}

const format = "elf-streams n-grams 1"
const columns = ["parents", "tokens", "counts"] as const

/** Writes counts; the file appears when it is whole. */
export const writeNgrams = (path: string, { counts, origin }: StoredNgrams): Effect.Effect<void, Safetensors.SafetensorsError> => {
  const { order, trie, vocabulary } = counts
  const length = trie.size() - 1
  const read = { parents: trie.parent, tokens: trie.token, counts: trie.count }
  const tensors = columns.map((name) => ({ name, shape: [length], data: Int32Array.from({ length }, (_, i) => read[name](i + 1)) }))
  return Effect.asVoid(Safetensors.write(path, tensors, { metadata: { format, settings: JSON.stringify({ order, vocabulary, origin }) } }))
}

interface Settings {
  readonly order: number
  readonly vocabulary: number
  readonly origin: NgramOrigin
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 1

const settingsOf = (text: string | undefined): Settings | undefined => {
  try {
    const { order, origin, vocabulary } = JSON.parse(text ?? "") as Settings
    const complete = isCount(order) && order <= 8 && isCount(vocabulary) && [origin.corpus, origin.identity].every((each) => typeof each === "string") && Number.isSafeInteger(origin.tokens)
    return complete ? { order, origin, vocabulary } : undefined
  } catch {
    return undefined
  }
}

/** The tree of stored rows; undefined where they are none: a parent comes first, no node comes twice, none is too deep. */
const trieOf = ([parents, tokens, counts]: ReadonlyArray<Int32Array>, { order, vocabulary }: Settings) => {
  const trie = makeTrie(parents!.length)
  for (let i = 0; i < parents!.length; i++) {
    const [parent, token, count] = [parents![i]!, tokens![i]!, counts![i]!]
    const fits = parent >= 0 && parent <= i && token >= 0 && token < vocabulary && count >= 0 && trie.depth(parent) < order
    if (!fits || trie.add(parent, token) !== i + 1) return undefined
    trie.increase(i + 1, count)
  }
  return trie
}

/** Reads counts; what is no such file, or damaged, is refused. */
export const readNgrams = (path: string): Effect.Effect<StoredNgrams, EvaluationError | Safetensors.SafetensorsError> =>
  Effect.scoped(Effect.gen(function*() {
    const broken = (detail: string) => new EvaluationError({ reason: "scorer", where: path, detail, remedy: "give a GPT-2, or the scorer file of an earlier evaluation" })
    const { metadata, read, tensors } = yield* Safetensors.open(path)
    const settings = metadata["format"] === format ? settingsOf(metadata["settings"]) : undefined
    if (settings === undefined || columns.some((name) => !tensors.has(name))) return yield* broken("it holds no n-grams of this library")
    const rows = (yield* Effect.forEach(columns, (name) => read(name))).map(({ data }) => data)
    const isTable = rows.every((row): row is Int32Array => row instanceof Int32Array && row.length === rows[0]!.length)
    const trie = isTable ? trieOf(rows as ReadonlyArray<Int32Array>, settings) : undefined
    if (trie === undefined) return yield* broken("its n-grams are damaged")
    const { order, origin, vocabulary } = settings
    return { origin, counts: { order, vocabulary, trie } }
  }))
