import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fc from "fast-check"
import { alignDescriptions, parseDescription, parseIndex, sourcePackages } from "../../scripts/pairs/descriptions.ts"
import { sentencesOfLine } from "../../scripts/pairs/dictionary.ts"
import { alignPages, paragraphs } from "../../scripts/pairs/help.ts"
import type { Pair } from "../../scripts/pairs/Pair.ts"
import { split, type SplitSizes } from "../../scripts/pairs/split.ts"
import { mostTypical } from "../../scripts/pair-baselines.ts"
import { pairVectors } from "../../scripts/encoder/pairVectors.ts"
import { prune } from "../../scripts/encoder/vocabulary.ts"
import { nearestOf } from "../../scripts/pairs/nearest.ts"
import { descriptionPairs, helpPairs, synopsisPairs, withoutRepeats } from "../../scripts/pairs/tasks.ts"
import { alignSentences, form, isTranslation, sentences } from "../../scripts/pairs/text.ts"
import * as Random from "../../src/flow/Random.ts"
import { check } from "../support/prop.ts"

const stanza = (language: string, synopsis: string, ...lines: ReadonlyArray<string>) =>
  ["Package: clock", "Description-md5: 0a", `Description-${language}: ${synopsis}`, ...lines.map((line) => ` ${line}`)].join("\n")

describe("texts of pairs", () => {
  it("the form forgets case, punctuation and the values of numbers, and keeps the words", () => {
    assert.strictEqual(form("Öffnet  Seite 12."), form("öffnet, seite 7"))
    assert.notStrictEqual(form("Öffnet Seite 12."), form("Öffnet Seiten 12."))
  })
  it("sentences end before a capital; abbreviations of one letter do not end one", () => {
    assert.deepStrictEqual(sentences("Eine Uhr. Sie zeigt z. B. Tage an! 2 Zeiger."), ["Eine Uhr.", "Sie zeigt z. B. Tage an!", "2 Zeiger."])
  })
  it("unequal numbers of sentences are one pair, so that none is put beside a stranger", () => {
    assert.deepStrictEqual(alignSentences("Alpha beta. Gamma.", "Alpha beta, gamma."), [["Alpha beta. Gamma.", "Alpha beta, gamma."]])
    assert.deepStrictEqual(alignSentences("Alpha beta. Gamma.", "Alfa beta. Gamma too."), [["Alpha beta.", "Alfa beta."], ["Gamma.", "Gamma too."]])
  })
  it("what was not translated, is no sentence or differs too much in length is no translation", () => {
    assert.isTrue(isTranslation("Öffnet das Fenster.", "Opens the window."))
    assert.isFalse(isTranslation("Opens the window.", "opens the window"))
    assert.isFalse(isTranslation("12 + 30 = 42 km", "12 + 30 = 42 mi"))
    assert.isFalse(isTranslation("Ja doch", "Yes indeed, and that is what they had all been saying"))
  })
})

describe("alignment", () => {
  it("the n-th German phrase of an entry goes with the n-th English one; only whole sentences, without notes", () => {
    const line = "Zufall {m} | Es war purer Zufall. [ugs.] | jdm. zufallen :: coincidence | It was sheer coincidence.; It just happened. | to fall to sb."
    assert.deepStrictEqual(sentencesOfLine(line), [["Es war purer Zufall.", "It was sheer coincidence."]])
    assert.deepStrictEqual(sentencesOfLine("A {n} | Das ist hier so. :: A"), [])
    assert.deepStrictEqual(sentencesOfLine("# Das ist :: ein Kommentar"), [])
  })
  it("paragraphs of two pages go together by id; what depends on the reader's system is left out", () => {
    const german = "<h1 id=\"a\" dir=\"auto\">\n Das  Fenster</h1><p id=\"b\"><span class=\"x\">Öffnet &amp; schließt.</span></p><p id=\"c\">nur <span class=\"switchinline\">hier</span></p>"
    const english = "<p id=\"b\">Opens &#38; closes.</p><p id=\"d\">More.</p><h1 id=\"a\">The window</h1>"
    assert.deepStrictEqual(Array.from(paragraphs(german)), [["a", "Das Fenster"], ["b", "Öffnet & schließt."]])
    assert.deepStrictEqual(alignPages(german, english), [["Das Fenster", "The window"], ["Öffnet & schließt.", "Opens & closes."]])
    assert.deepStrictEqual(helpPairs(german, english).map(({ input, output }) => [input, output]), [["Das Fenster", "The window"], ["Öffnet & schließt.", "Opens & closes."]])
  })
  it("a description has a synopsis and paragraphs; lists are none", () => {
    const parsed = parseDescription(stanza("en", "a clock", "It shows", "the time.", ".", " * and a list", ".", "It is round."), "en")!
    assert.strictEqual(parsed.synopsis, "a clock")
    assert.deepStrictEqual(parsed.paragraphs, ["It shows the time.", "It is round."])
    assert.strictEqual(parseDescription("Package: clock", "en"), undefined)
    assert.strictEqual(parseIndex(`${stanza("en", "a clock", "It ticks.")}\n\n${stanza("en", "another", "It rings.")}\n`, "en").length, 2)
  })
  it("a translation goes with the text that it translates, paragraph by paragraph", () => {
    const english = parseIndex(stanza("en", "a small clock", "It shows the time."), "en")
    const german = parseIndex(stanza("de", "eine kleine Uhr", "Sie zeigt die Zeit.").replace("0a", "0b"), "de")
    assert.deepStrictEqual(descriptionPairs(german, english), [])
    const current = german.map((description) => ({ ...description, md5: "0a" }))
    assert.deepStrictEqual(descriptionPairs(current, english).map(({ input, output }) => [input, output]), [["eine kleine Uhr", "a small clock"], ["Sie zeigt die Zeit.", "It shows the time."]])
    assert.strictEqual(alignDescriptions({ ...current[0]!, paragraphs: [] }, english[0]!).length, 1)
  })
  it("a synopsis goes with its long description; libraries and data have none worth learning", () => {
    const long = "A clock that shows the time of the day, the date, and the phase of the moon."
    const index = parseIndex([stanza("en", "clock for the desktop", long), stanza("en", "data of a clock", long).replace("clock", "clock-data")].join("\n\n"), "en")
    const sources = sourcePackages("Package: clock\nSource: clocks (1.2)\n\nPackage: other\n")
    assert.deepStrictEqual(Array.from(sources), [["clock", "clocks"], ["other", "other"]])
    const [pair, ...others] = synopsisPairs(index, sources)
    assert.deepStrictEqual(others, [])
    assert.deepStrictEqual([pair!.input, pair!.output], [long, "clock for the desktop"])
    assert.include(pair!.families, "source clocks")
  })
})

const families = fc.uniqueArray(fc.integer({ min: 0, max: 60 }).map((n) => `family ${n}`), { maxLength: 3 })
const pairsOf = (all: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<Pair> =>
  all.map((families, i) => ({ input: `input ${i}`, output: `output ${i}`, source: "test", families }))
const pairs = fc.array(families, { maxLength: 120 }).map(pairsOf)
const sizes = { validation: 5, test: 10, largestGroup: 6 }
const partsOf = (all: ReadonlyArray<Pair>, sizes: SplitSizes): ReadonlyArray<ReadonlyArray<Pair>> => {
  const { test, train, validation } = split(all, sizes)
  return [train, validation, test]
}

describe("baselines", () => {
  it("the nearest text shares the rarest words; none is nearest to a stranger", () => {
    const nearest = nearestOf(["opens the file", "opens the window", "the clock shows the time", "opens the window"])
    assert.strictEqual(nearest("Opens a window!"), 1)
    assert.strictEqual(nearest("which clock"), 2)
    assert.strictEqual(nearest("nothing alike"), -1)
  })
  it("the typical output is made of the words that most outputs have", () => {
    const outputs = ["a tool to read files", "a tool to write files", "an ancient game of dice", "a tool to sort all mail"]
    assert.strictEqual(mostTypical(outputs.map((target) => ({ condition: "", target }))), "a tool to read files")
  })
})

describe("the vocabulary", () => {
  const vocabulary = {
    version: "1.0",
    added_tokens: ["<pad>", "</s>", "<unk>", "<extra_id_1>", "<extra_id_0>"].map((content, i) => ({ id: i < 3 ? i : i + 4, content, special: true })),
    model: { type: "Unigram", unk_id: 2, vocab: ([["<pad>", 0], ["</s>", 0], ["<unk>", 0], ["▁", -1], ["▁the", -2], ["x", -3], ["▁house", -4], ["<extra_id_1>", 0], ["<extra_id_0>", 0]]) as ReadonlyArray<readonly [string, number]> }
  }
  it("keeps special tokens, single characters and the most used pieces, in their order, and renumbers what is added", () => {
    const small = prune(vocabulary, [0, 0, 0, 0, 1, 0, 9, 0, 0], 7)
    assert.deepStrictEqual(small.model.vocab, [["<pad>", 0], ["</s>", 0], ["<unk>", 0], ["▁", -1], ["x", -3], ["▁house", -4], ["<extra_id_0>", 0]])
    assert.deepStrictEqual(small.added_tokens.map(({ content, id }) => [content, id]), [["<pad>", 0], ["</s>", 1], ["<unk>", 2], ["<extra_id_0>", 6]])
    assert.strictEqual(small.version, "1.0")
  })
})

describe("the first vectors of tokens", () => {
  it("of all tokens of the other language the translation is the nearest, and every entry is a number", () => {
    const [words, width, sentencesOfWords] = [40, 16, 600]
    const source = Random.keyed(3)
    // Token w of one language is always translated by token words + w of the other; a last token is never used.
    const made = Array.from({ length: sentencesOfWords }, (_, index) => Array.from(source.uniform({ purpose: "words", index }, 4), (u) => Math.floor(u * words)))
    const all = made.map((condition) => ({ condition, target: condition.map((word) => words + word) }))
    const vectors = pairVectors(all, 2 * words + 1, width, source)
    const vector = (token: number) => vectors.subarray(token * width, (token + 1) * width)
    const cosine = (a: Float32Array, b: Float32Array) => a.reduce((sum, x, k) => sum + x * b[k]!, 0) / (Math.hypot(...a) * Math.hypot(...b))
    assert.isTrue(vectors.every(Number.isFinite))
    const right = Array.from({ length: words }, (_, word) => {
      const likeness = Array.from({ length: words }, (_, other) => cosine(vector(word), vector(words + other)))
      return likeness.indexOf(Math.max(...likeness)) === word
    })
    assert.isAtLeast(right.filter(Boolean).length, 0.9 * words)
  })
})

describe("the split", () => {
  it.effect("loses and repeats no pair, and no family is in two parts", () =>
    check([pairs], (all) =>
      Effect.sync(() => {
        const parts = partsOf(all, sizes)
        assert.sameMembers(parts.flat().map(({ input }) => input), all.map(({ input }) => input))
        const found = parts.map((part) => new Set(part.flatMap(({ families }) => families)))
        assert.strictEqual(new Set(found.flatMap((part) => [...part])).size, found.reduce((sum, { size }) => sum + size, 0))
        assert.isAtMost(parts[1]!.length, sizes.validation)
        assert.isAtMost(parts[2]!.length, sizes.test)
      })))
  it.effect("does not depend on the order of the pairs", () =>
    check([pairs], (all) =>
      Effect.sync(() => {
        const [there, back] = [split(all, sizes), split(all.toReversed(), sizes)]
        assert.sameMembers(there.test.map(({ input }) => input), back.test.map(({ input }) => input))
        assert.sameMembers(there.validation.map(({ input }) => input), back.validation.map(({ input }) => input))
      })))
  it.effect("keeps together what hangs together through a third", () =>
    Effect.sync(() => {
      const chain = Array.from({ length: 6 }, (_, i): Pair => ({ input: `i${i}`, output: `o${i}`, source: "test", families: [`f${i}`, `f${i + 1}`] }))
      const parts = partsOf(chain, { validation: 3, test: 3, largestGroup: 3 })
      assert.deepStrictEqual(parts.map((part) => part.length), [6, 0, 0])
    }))
  it("one pair is left of those whose texts have the same form on either side", () => {
    const pair = (input: string, output: string): Pair => ({ input, output, source: "test", families: [] })
    assert.deepStrictEqual(withoutRepeats([pair("Seite 1", "page 1"), pair("Seite 2", "sheet 2"), pair("Blatt 3", "Page 9"), pair("Tag", "day")]).map(({ input }) => input), ["Seite 1", "Tag"])
  })
})
