/**
 * A text from noise with the network that ships, shown after every time step as it emerges.
 *
 *     npx node examples/sample.ts [seed]
 */
import { Console, Effect, Layer, Stream } from "effect"
import { Backend, decode, detokenize, Pretrained, sample, TimeGrid } from "elf-streams"

const seed = Number(process.argv[2] ?? 0)
const selfConditionScale = 2

const program = Effect.gen(function*() {
  const { network, tokenizer } = yield* Pretrained.open(Pretrained.sotu)

  yield* Stream.fromIterable(TimeGrid.logitNormal({ steps: 16, seed })).pipe(
    sample({ keys: [0], seed, selfConditionScale }),
    decode({ from: "prediction", selfConditionScale }),
    detokenize,
    Stream.runForEach(({ step, texts }) => Console.log(`t ${step.tNext.toFixed(3)}  ${texts[0]}`)),
    Effect.provide(Layer.merge(network, tokenizer))
  )
})

await program.pipe(Effect.provide(Backend.layer), Effect.runPromise)
