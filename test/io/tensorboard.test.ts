import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { TensorBoardLog } from "../../src/io/index.ts"
import { crc32c } from "../../src/io/crc32c.ts"
import { encodeEvent, record, type TensorBoardEvent } from "../../src/io/tensorboardEvent.ts"
import { inFolder } from "./support.ts"

/** What TensorBoard 2.21's own writer makes of the same events. */
const golden: ReadonlyArray<readonly [TensorBoardEvent, string]> = [
  [
    { time: 1234.5, step: 300, scalars: { loss: 0.25, learningRate: 0.002 } },
    "300000000000000095f5d05f0900000000004a934010ac022a220a0b0a046c6f7373150000803e0a130a0c6c6561726e696e6752617465156f12033b1df8ad00"
  ],
  [{ time: 1, step: 0, fileVersion: "brain.Event:2" }, "1800000000000000a37f4b2209000000000000f03f1a0d627261696e2e4576656e743a3286bf577a"],
  [{ time: 2, step: 7, starts: true }, "0f000000000000006d532b0909000000000000004010073a020801d1715dcb"]
]

/** Bodies of the records of a file. */
const records = (bytes: Buffer): ReadonlyArray<Buffer> => {
  const found: Array<Buffer> = []
  for (let at = 0; at < bytes.length;) {
    const length = Number(bytes.readBigUInt64LE(at))
    const body = bytes.subarray(at + 12, at + 12 + length)
    assert.deepStrictEqual(bytes.subarray(at, at + 16 + length), record(body), "framing and checksums")
    found.push(body)
    at += 16 + length
  }
  return found
}

describe("TensorBoard's event files", () => {
  it("the checksum is CRC-32C", () => {
    assert.strictEqual(crc32c(Buffer.from("123456789")), 0xe3069283)
    assert.strictEqual(crc32c(Buffer.alloc(32)), 0x8a9136aa)
  })
  it("events are, byte for byte, those that TensorBoard writes", () => {
    for (const [event, expected] of golden) assert.strictEqual(record(encodeEvent(event)).toString("hex"), expected)
  })
  it.effect("a file for each process, which begins with its version and the step it goes on at; what is no number is left out", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const log = (behind: number, steps: ReadonlyArray<number>) =>
          Effect.scoped(Effect.gen(function*() {
            const { append } = yield* TensorBoardLog.open(join(folder, "board"), behind)
            for (const step of steps) yield* append({ step, loss: step / 2, heldOutLoss: NaN, note: "text", time: 1 })
          }))
        yield* log(0, [1, 2, 3])
        yield* log(2, [3, 4])
        const files = readdirSync(join(folder, "board")).sort()
        assert.strictEqual(files.length, 2)
        const [first, second] = files.map((name) => records(readFileSync(join(folder, "board", name))))
        assert.deepStrictEqual([first!.length, second!.length], [5, 4])
        const without = (body: Buffer) => body.subarray(9).toString("hex")
        const expected = (event: Omit<TensorBoardEvent, "time">) => without(encodeEvent({ time: 0, ...event }))
        assert.deepStrictEqual(second!.map(without), [
          expected({ step: 0, fileVersion: "brain.Event:2" }),
          expected({ step: 3, starts: true }),
          expected({ step: 3, scalars: { loss: 1.5 } }),
          expected({ step: 4, scalars: { loss: 2 } })
        ])
      })))
})
