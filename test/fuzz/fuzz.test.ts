/** Hostile files for every reader; `scripts/fuzz.ts` runs a hundred thousand of each. */
import { describe, expect, it } from "vitest"
import { fuzz } from "./fuzz.ts"
import { drawsOf } from "./Reader.ts"
import { readers } from "./readers/index.ts"

describe("hostile files, 250 for each reader", () => {
  it.each(Object.keys(readers))("%s: each ends in a value or a typed error, in bounded time and memory", async (reader) => {
    const { findings, read, refused } = await fuzz({ reader, seed: 7, cases: 250 })
    expect(findings).toEqual([])
    expect(read + refused).toBe(250)
    expect(Math.min(read, refused)).toBeGreaterThan(0)
  }, 120_000)
})

describe("the fuzzer", () => {
  it.each([
    ["hangs", "hang", /nothing happened/],
    ["dies", "crash", /SIGABRT/],
    ["throws", "defect", /not mine/],
    ["allocates", "memory", /^209\d{6} bytes of buffers/],
    ["rejects", "unhandled rejection", /nobody handles this/]
  ])("finds a reader that %s, says with which case, and goes on behind it", async (reader, what, detail) => {
    const { findings, refused } = await fuzz({ reader, seed: 1, cases: 6, patience: 3_000 })
    expect(findings).toEqual([expect.objectContaining({ index: 3, what, detail: expect.stringMatching(detail) as string })])
    // A process that ends says nothing of the cases before.
    expect(refused).toBe(["hang", "crash"].includes(what) ? 2 : 6)
  }, 60_000)

  it("makes the same case from seed and number alone", async () => {
    const { make } = await readers["torch"]!()
    for (const index of [0, 5, 99]) expect(make(drawsOf(3, index))).toEqual(make(drawsOf(3, index)))
    expect(make(drawsOf(3, 1))).not.toEqual(make(drawsOf(4, 1)))
  })
})
