/** Readers that do all that a reader must not do: what the fuzzer has to find. */
import { Effect } from "effect"
import type { Reader } from "../Reader.ts"

const kept: Array<Uint8Array> = []

const faults: Readonly<Record<string, () => void>> = {
  hangs: () => { for (;;) kept.length = 0 },
  dies: () => process.abort(),
  throws: () => { throw new TypeError("not mine") },
  allocates: () => { kept.push(new Uint8Array(200 * 1024 * 1024)) },
  rejects: () => { void Promise.reject(new Error("nobody handles this")) }
}

class Refused extends Error {}

/** A reader that misbehaves with case 3 and refuses all others. */
export const misbehaving = (name: string) => async (): Promise<Reader> => {
  const fault = faults[name]
  if (fault === undefined) throw new Error(`there is no reader ${name}`)
  let case3 = -2
  return {
    make: () => new Uint8Array(16),
    read: () => Effect.andThen(Effect.sync(() => { if (++case3 === 3) fault() }), Effect.fail(new Refused("refused"))),
    isTyped: (error) => error instanceof Refused
  }
}
