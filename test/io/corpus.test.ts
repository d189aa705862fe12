import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import {
  type Address,
  build,
  cut,
  dataFolder,
  normalise,
  parseName,
  passages,
  prompts,
  readAddresses,
  split
} from "../../scripts/corpus.ts"
import { Parquet } from "../../src/io/index.ts"
import { inFolder } from "./support.ts"

const speech = (name: string) => Array.from({ length: 300 }, (_, i) => `Sentence ${i} of ${name} says what it has to say.`).join(" ")
const addresses: ReadonlyArray<Address> = Array.from({ length: 25 }, (_, i) => ({ year: 1800 + i, president: `P ${i}`, text: speech(`P ${i}`) }))

describe("the corpus", () => {
  it("names, line breaks and doubled spaces", () => {
    assert.deepStrictEqual(parseName("1862_abraham_lincoln_r.txt"), { year: 1862, president: "Abraham Lincoln" })
    assert.deepStrictEqual(parseName("1900_william_mc_kinley_r.txt"), { year: 1900, president: "William McKinley" })
    assert.strictEqual(parseName("readme.txt"), undefined)
    assert.strictEqual(normalise(" a wrapped\r\nline  and\u00a0more\n"), "a wrapped line and more")
  })
  it("whole addresses are held out by a fixed rule", () => {
    const { train, heldOut } = split(addresses)
    assert.deepStrictEqual(heldOut.map(({ year }) => year), [1811, 1823])
    assert.sameMembers([...train, ...heldOut], [...addresses])
  })
  it("passages are a few sentences each; together they are the address", () => {
    const cutUp = passages(addresses[0]!)
    assert.strictEqual(cutUp.length, Math.ceil(300 / cut.passageSentences))
    assert.strictEqual(cutUp.map(({ text }) => text).join(" "), addresses[0]!.text)
    assert.deepStrictEqual(cutUp.map(({ passage }) => passage), cutUp.map((_, i) => i))
    assert.strictEqual(cutUp[1]!.text.match(/\./g)!.length, cut.passageSentences)
  })
  it("prompts begin with a sentence, and their reference is how the address goes on", () => {
    const { heldOut } = split(addresses)
    const asked = prompts(heldOut)
    assert.strictEqual(asked.length, cut.prompts)
    for (const { prompt, reference } of asked) {
      assert.match(prompt, /^Sentence/)
      assert.strictEqual(prompt.split(" ").length, cut.promptWords)
      assert.strictEqual(reference.split(" ").length, cut.referenceWords)
      assert.isTrue(heldOut.some(({ text }) => text.includes(`${prompt} ${reference}`)))
    }
  })
  it.effect("three addresses become parquet, the same bytes each time; a second run does nothing", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        mkdirSync(join(folder, "texts"))
        for (const [i, name] of ["1790_george_washington_n", "1797_john_adams_f", "1801_thomas_jefferson_r"].entries()) {
          writeFileSync(join(folder, "texts", `${name}.txt`), `Fellow\ncitizens  ${i}.\n`)
        }
        const read = yield* readAddresses(join(folder, "texts"))
        const out = join(folder, "corpus")
        assert.deepInclude(yield* build(read, out), { upToDate: false, train: 3, heldOut: 0, prompts: 0 })
        const rows = yield* Stream.runCollect(Stream.map(Parquet.readRows(join(out, "train.parquet")), ({ values }) => values))
        assert.deepStrictEqual<unknown>(rows.map((row) => ({ ...row })), [
          { year: 1790, president: "George Washington", passage: 0, text: "Fellow citizens 0." },
          { year: 1797, president: "John Adams", passage: 0, text: "Fellow citizens 1." },
          { year: 1801, president: "Thomas Jefferson", passage: 0, text: "Fellow citizens 2." }
        ])
        const path = join(out, "train.parquet")
        const [bytes, time] = [readFileSync(path), statSync(path).mtimeMs]
        assert.deepInclude(yield* build(read, out), { upToDate: true, train: 3 })
        assert.strictEqual(statSync(path).mtimeMs, time)
        writeFileSync(path, "damaged")
        assert.deepInclude(yield* build(read, out), { upToDate: false })
        assert.deepStrictEqual(readFileSync(path), bytes)
        assert.sameMembers(readdirSync(out), ["train.parquet", "held-out.parquet", "prompts.parquet"])
      })))
  it.effect("a folder without texts, and a name that says no year, are refused", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        assert.include((yield* Effect.flip(readAddresses(folder))).message, "holds no .txt file")
        assert.include((yield* Effect.flip(readAddresses(join(folder, "nowhere")))).message, "cannot be read")
        writeFileSync(join(folder, "notes.txt"), "text")
        assert.include((yield* Effect.flip(readAddresses(folder))).message, "YEAR_PRESIDENT_PARTY")
      })))
  it.effect("the npm package holds 233 addresses of plain prose", () =>
    Effect.gen(function*() {
      const all = yield* Effect.flatMap(dataFolder, readAddresses)
      assert.strictEqual(all.length, 233)
      assert.isTrue(all.every(({ text, year }) => text.length > 1000 && year >= 1790 && !/\s\s|\n/.test(text)))
    }))
})
