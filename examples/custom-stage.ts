/**
 * A stage is a function from stream to stream: write one, wrap one, observe one, replace one.
 *
 *     npx node examples/custom-stage.ts
 */
import { Console, Effect, Layer, Stream } from "effect"
import { dropLabels, embed, Encoder, pack, type Stage, tokenize, Tokenizer } from "elf-streams"

/** One of your own: any stream function with these types will do. */
const longerThan = (characters: number): Stage<string, string> => Stream.filter((text: string) => text.length > characters)

/** A wrapper: the same stage, which now says how much went in and came out. */
const counted = <A, B, E, R>(name: string, stage: Stage<A, B, E, R>): Stage<A, B, E, R> => (upstream) =>
  Stream.suspend(() => {
    let [taken, given] = [0, 0]
    const count = (added: () => void) => () => Effect.sync(added)
    return upstream.pipe(
      Stream.tap(count(() => taken++)),
      stage,
      Stream.tap(count(() => given++)),
      Stream.ensuring(Effect.suspend(() => Console.log(`${name}: ${taken} in, ${given} out`)))
    )
  })

/** A replacement: an encoder of your own instead of T5. Whatever makes `[B, S, D]` of `[B, S]` ids is one. */
const letterCounts = Layer.succeed(Encoder, Encoder.of({
  width: 2,
  vocabulary: 32_100,
  embed: ({ ids }) => Effect.succeed(Float32Array.from({ length: 2 * ids.length }, (_, i) => (ids[i >> 1]! % (i % 2 + 2))))
}))

const texts = ["Four score and seven years ago", "Yes.", "our fathers brought forth on this continent a new nation"]

await Stream.fromIterable(texts).pipe(
  counted("longerThan", longerThan(10)),
  tokenize,
  counted("pack", pack({ length: 8, endOfSequenceId: 1, padId: 0 })),
  Stream.tap(({ index, length }) => Console.log(`sequence ${index} has ${length} tokens`)),
  dropLabels({ probability: 0, seed: 0 }),
  embed({ batchSize: 2 }),
  Stream.runForEach(({ index, latents }) => Console.log(`sequence ${index} has ${latents.length / 8} channels a token`)),
  Effect.provide(Layer.merge(Tokenizer.layer, letterCounts)),
  Effect.runPromise
)
