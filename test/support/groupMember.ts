/**
 * One process of a group: `node groupMember.ts RANK host:port,host:port,… WHAT`. Each line that it prints is one JSON value,
 * a string for where it is, an object for what came of it.
 *
 *   sums      sums of floats and of whole numbers, a broadcast, a comparison that holds and one that does not
 *   linger    says "ready" and waits in a sum that rank 1 never joins
 */
import { Effect, Layer } from "effect"
import { broadcast, broadcastJson, digestOf, requireAlike } from "../../src/model/Agreement.ts"
import { Backend } from "../../src/model/Backend.ts"
import { Collective } from "../../src/model/Collective.ts"

const [rank, addresses, what] = [Number(process.argv[2]), process.argv[3]!.split(","), process.argv[4]]

const say = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`)

const sums = Effect.gen(function*() {
  const { size, sum } = yield* Collective
  const floats = Float32Array.from({ length: 1001 }, (_, i) => (i + 1) / (rank + 3))
  yield* sum(floats)
  const whole = Int32Array.of(rank, 2 ** 30 + rank)
  yield* sum(whole)
  for (let i = 0; i < 20; i++) yield* sum(Float32Array.of(i))
  const told = rank === 0 ? Float32Array.of(-0, 1.5, NaN) : Float32Array.of(7, 7, 7)
  yield* broadcast(told)
  say({
    size,
    floats: Buffer.from(floats.buffer).toString("base64"),
    whole: [...whole],
    told: [...new Int32Array(told.buffer)],
    json: yield* broadcastJson(rank === 0 ? { text: "Ünïon", list: [1, null] } : { text: "", list: [] }),
    alike: (yield* Effect.result(requireAlike(digestOf([Uint8Array.of(1)]), "all", "Nothing")))._tag,
    unlike: yield* Effect.flip(requireAlike(digestOf([Uint8Array.of(rank === 2 ? 2 : 0)]), "their ranks", "Nothing"))
  })
})

const linger = Effect.gen(function*() {
  const { sum } = yield* Collective
  yield* sum(Float32Array.of(1))
  say("ready")
  if (rank === 1) return yield* Effect.sleep("1 hour")
  yield* sum(new Float32Array(1000))
})

const program = what === "sums" ? sums : linger
Effect.runPromise(
  Effect.match(Effect.provide(program, Layer.provideMerge(Collective.layer({ addresses, rank, patience: { start: 30, answer: 2, farewell: 1 } }), Backend.layer)), {
    onFailure: (error) => {
      say({ error, message: error instanceof Error ? error.message : "" })
      process.exitCode = 1
    },
    onSuccess: () => {}
  })
)
