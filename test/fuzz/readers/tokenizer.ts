/** Vocabularies: tokenizer.json, plain and gzipped. What loads has to encode and decode, or say why not. */
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { TokenizeError, Tokenizer } from "../../../src/model/Tokenizer.ts"
import { mutate } from "../bytes.ts"
import { type Json, mutateJson } from "../json.ts"
import { pick, type Reader, require } from "../Reader.ts"
import { place } from "./folder.ts"

const originals = ["t5-v1.1", "onnx-bert"].map((name) => readFileSync(join(import.meta.dirname, `../../fixtures/encoders/${name}/tokenizer.json`)))
const parsed = originals.map((text) => JSON.parse(text.toString()) as Json)
const zipped = originals.map((text) => gzipSync(text))

const texts = ["Fellow citizens, of the Senate.", "", "\u0000\ud83d\ude00 <pad></s> éß\u200d", "a".repeat(300)]

const useIt = Effect.gen(function*() {
  const { decode, encodeBatch, endOfSequenceId, padId, vocabularySize } = yield* Tokenizer
  require(Number.isSafeInteger(padId) && Number.isSafeInteger(endOfSequenceId) && vocabularySize > 0, "it has no special tokens")
  for (const ids of yield* encodeBatch(texts)) yield* decode(ids)
})

export const tokenizer: Reader = {
  make: (draw) => {
    const which = draw(originals.length)
    switch (draw(8)) {
      case 0: return mutate(originals[which]!, draw)
      case 1: return mutate(zipped[which]!, draw)
      case 2: return gzipSync(Buffer.from(mutateJson(parsed[which]!, draw)))
      case 3: return draw(20) === 0 ? gzipSync(Buffer.alloc(pick(draw, [1 << 16, 1 << 24]), "{")) : mutate(originals[which]!, draw)
      default: return Buffer.from(mutateJson(parsed[which]!, draw))
    }
  },
  read: (from) => Effect.suspend(() => Effect.scoped(Effect.provide(useIt, Tokenizer.layerFile(place("tokenizer.json", from as Uint8Array))))),
  isTyped: (error) => error instanceof TokenizeError
}
