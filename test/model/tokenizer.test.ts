import { createHash } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gunzipSync } from "node:zlib"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import { TokenizeError, Tokenizer } from "../../src/model/Tokenizer.ts"

const asset = (name: string) => new URL(name, import.meta.url)
const golden = JSON.parse(readFileSync(asset("./tokenizer-golden.json"), "utf8")) as {
  readonly texts: ReadonlyArray<{ readonly text: string; readonly ids: Array<number>; readonly decoded: string }>
  readonly long: ReadonlyArray<{
    readonly piece: string
    readonly times: number
    readonly count: number
    readonly head: Array<number>
    readonly tail: Array<number>
    readonly sha256: string
  }>
}

layer(Tokenizer.layer)("the shipped T5 vocabulary", (it) => {
  it.effect("has 32,100 pieces, padding 0 and EOS 1", () =>
    Effect.gen(function*() {
      const { endOfSequenceId, padId, vocabularySize } = yield* Tokenizer
      assert.deepStrictEqual([vocabularySize, padId, endOfSequenceId], [32_100, 0, 1])
    }))

  it.effect("gives the reference's ids and texts, alone and in a batch", () =>
    Effect.gen(function*() {
      const tokenizer = yield* Tokenizer
      assert.isAtLeast(golden.texts.length, 60)
      const batch = yield* tokenizer.encodeBatch(golden.texts.map(({ text }) => text))
      for (const [i, { decoded, ids, text }] of golden.texts.entries()) {
        assert.deepStrictEqual([...yield* tokenizer.encode(text)], ids, JSON.stringify(text))
        assert.deepStrictEqual([...batch[i]!], ids, JSON.stringify(text))
        assert.strictEqual(yield* tokenizer.decode(ids), decoded)
      }
    }))

  it.effect("gives the reference's ids of very long texts", () =>
    Effect.gen(function*() {
      const tokenizer = yield* Tokenizer
      for (const { count, head, piece, sha256, tail, times } of golden.long) {
        const ids = yield* tokenizer.encode(piece.repeat(times))
        assert.strictEqual(ids.length, count)
        assert.deepStrictEqual([...ids.slice(0, 12)], head)
        assert.deepStrictEqual([...ids.slice(-12)], tail)
        assert.strictEqual(createHash("sha256").update(ids).digest("hex"), sha256)
      }
    }))

  it.effect("leaves padding and EOS out of a decoded text", () =>
    Effect.gen(function*() {
      const tokenizer = yield* Tokenizer
      const ids = [...yield* tokenizer.encode("That is good."), tokenizer.endOfSequenceId, tokenizer.padId]
      assert.strictEqual(yield* tokenizer.decode(Int32Array.from(ids)), "That is good.")
      assert.strictEqual(yield* tokenizer.decode([]), "")
    }))

  it.effect("reads a lone surrogate as U+FFFD", () =>
    Effect.gen(function*() {
      const { encode } = yield* Tokenizer
      for (const text of ["x\ud800y", "x\udc00y"]) assert.deepStrictEqual(yield* encode(text), yield* encode("x\ufffdy"))
    }))

  it.effect("refuses ids that it does not know, naming where", () =>
    Effect.gen(function*() {
      const { decode } = yield* Tokenizer
      for (const id of [32_100, -1, 0.5, NaN]) {
        const error = yield* Effect.flip(decode([5, 6, id]))
        assert.instanceOf(error, TokenizeError)
        assert.include(error.message, `Cannot decode position 2: id ${id} is not in [0, 32100)`)
      }
    }))

  it.effect("refuses what is not a text, naming its row", () =>
    Effect.gen(function*() {
      const { encodeBatch } = yield* Tokenizer
      for (const value of [null, undefined, 7, Buffer.from("x")]) {
        const error = yield* Effect.flip(encodeBatch(["fine", value as unknown as string]))
        assert.strictEqual(error.row, 1)
        assert.match(error.message, /^Cannot encode row 1: it is .*, not a text\./)
      }
    }))
})

describe("a vocabulary of your own", () => {
  const inFolder = <A, E>(use: (folder: string) => Effect.Effect<A, E>) =>
    Effect.acquireUseRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "tokenizer-"))),
      use,
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
    )
  const encode = (path: string) =>
    Effect.flatMap(Tokenizer, ({ encode }) => encode("That is good.")).pipe(Effect.provide(Tokenizer.layerFile(path)))
  const json = () => gunzipSync(readFileSync(asset("../../assets/t5-tokenizer.json.gz"))).toString()

  it.effect("is read from plain JSON too", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = join(folder, "tokenizer.json")
        writeFileSync(path, json())
        assert.deepStrictEqual([...yield* encode(path)], [466, 19, 207, 5])
      })))

  it.effect("that is missing, empty, cut short, no vocabulary or without EOS is refused by name", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const gz = readFileSync(asset("../../assets/t5-tokenizer.json.gz"))
        const files: Record<string, string | Buffer> = {
          empty: "",
          cut: gz.subarray(0, 1000),
          other: `{"a": 1}`,
          ending: json().replaceAll("</s>", "<end>")
        }
        for (const name of ["missing", ...Object.keys(files)]) {
          const path = join(folder, name)
          if (name in files) writeFileSync(path, files[name]!)
          const error = yield* Effect.flip(encode(path))
          assert.instanceOf(error, TokenizeError)
          assert.include(error.message, `Cannot load the vocabulary ${path}: `)
          assert.include(error.message, "Give a Hugging Face tokenizer.json")
        }
      })))
})
