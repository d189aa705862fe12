import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { Philox, Random, RecordedDrawError } from "../../src/flow/index.ts"
import { fillNormals } from "../../src/flow/Normals.ts"
import { seed } from "../support/arbitraries.ts"

const words = (...input: [number, number, number, number, number, number]) => {
  const out = new Int32Array(4)
  Philox.block(out, ...input)
  return Array.from(out, (word) => (word >>> 0).toString(16).padStart(8, "0")).join(" ")
}

describe("Philox4x32-10", () => {
  it("gives the known answers of Random123", () => {
    assert.strictEqual(words(0, 0, 0, 0, 0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8")
    assert.strictEqual(words(-1, -1, -1, -1, -1, -1), "408f276d 41c83b0e a20bc7c6 6d5451fd")
    assert.strictEqual(
      words(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0),
      "d16cfe09 94fdcceb 5001e420 24126ea1"
    )
  })

  it("multiplies as exact integers do, for any counter and key", () => {
    const slow = (c: Array<bigint>, k: Array<bigint>): Array<bigint> => {
      const mask = 0xffffffffn
      for (let round = 0n; round < 10n; round++) {
        const p = 0xd2511f53n * c[0]!, q = 0xcd9e8d57n * c[2]!
        const k0 = (k[0]! + round * 0x9e3779b9n) & mask, k1 = (k[1]! + round * 0xbb67ae85n) & mask
        c = [(q >> 32n) ^ c[1]! ^ k0, q & mask, (p >> 32n) ^ c[3]! ^ k1, p & mask]
      }
      return c
    }
    const word = fc.integer({ min: 0, max: 0xffffffff })
    fc.assert(fc.property(fc.tuple(word, word, word, word), fc.tuple(word, word), (c, k) => {
      const out = new Int32Array(4)
      Philox.block(out, ...c, ...k)
      assert.deepStrictEqual(Array.from(out, (x) => BigInt(x >>> 0)), slow(c.map(BigInt), k.map(BigInt)))
    }))
  })
})

const moments = (xs: ArrayLike<number>) => {
  const n = xs.length
  let mean = 0, variance = 0, fourth = 0
  for (let i = 0; i < n; i++) mean += xs[i]! / n
  for (let i = 0; i < n; i++) variance += (xs[i]! - mean) ** 2 / n
  for (let i = 0; i < n; i++) fourth += ((xs[i]! - mean) ** 2 / variance) ** 2 / n
  return { mean, variance, kurtosis: fourth }
}

const correlation = (xs: Float32Array, ys: Float32Array) => {
  const a = moments(xs), b = moments(ys)
  return xs.reduce((sum, x, i) => sum + (x - a.mean) * (ys[i]! - b.mean), 0) / xs.length / Math.sqrt(a.variance * b.variance)
}

/** Kolmogorov–Smirnov distance · √n; above 1.95 once in a thousand for a right distribution. */
const kolmogorovSmirnov = (xs: Float32Array, distribution: (x: number) => number) => {
  const sorted = xs.slice().sort()
  return Math.sqrt(xs.length) * sorted.reduce((worst, x, i) => {
    const p = distribution(x)
    return Math.max(worst, Math.abs(p - i / xs.length), Math.abs(p - (i + 1) / xs.length))
  }, 0)
}

/** Φ by Simpson's rule; exact to 1e-9 on |x| < 7. */
const normalDistribution = (x: number) => {
  const n = 200, h = x / n, density = (u: number) => Math.exp(-u * u / 2) / Math.sqrt(2 * Math.PI)
  let sum = density(0) + density(x)
  for (let i = 1; i < n; i++) sum += density(i * h) * (i % 2 === 0 ? 2 : 4)
  return 0.5 + sum * h / 3
}

describe("normals", () => {
  /** Box–Muller with the functions of this machine. */
  const expected = (out: Float32Array, words: Int32Array): void => {
    for (const pair of [0, 2]) {
      const radius = Math.sqrt(-2 * Math.log(((words[pair]! >>> 0) + 0.5) / 2 ** 32)), angle = (words[pair + 1]! >>> 0) * (2 * Math.PI / 2 ** 32)
      out[pair] = radius * Math.cos(angle)
      out[pair + 1] = radius * Math.sin(angle)
    }
  }

  it("are Box–Muller's of the words, to the last bit of single precision", () => {
    const word = fc.integer({ min: 0, max: 2 ** 32 - 1 })
    const key = fc.record({ key0: word, key1: word, indexLow: word, indexHigh: word, step: word })
    fc.assert(fc.property(key, (key) => {
      const drawn = new Float32Array(400)
      fillNormals(drawn, key)
      for (let number = 0; number < 100; number++) {
        const words = new Int32Array(4), four = new Float32Array(4)
        Philox.block(words, number, key.step, key.indexLow, key.indexHigh, key.key0, key.key1)
        expected(four, words)
        four.forEach((x, i) => assert.closeTo(drawn[4 * number + i]!, x, Math.abs(x) * 2 ** -23 + 1e-15))
      }
    }))
  })

  it("are these, for ever", () => {
    const drawn = new Float32Array(6)
    fillNormals(drawn, { key0: 1, key1: 2, indexLow: 3, indexHigh: 4, step: 5 })
    assert.deepStrictEqual([...new Uint32Array(drawn.buffer)], [3215197063, 1057524837, 1065361087, 3202346002, 1071085869, 1059012714])
  })
})

const n = 20_000
const source = Random.keyed(42)

describe("keyed draws", () => {
  it("normals have the moments and the distribution of N(0, 1)", () => {
    const xs = source.normal({ purpose: "test", index: 0 }, n)
    const { kurtosis, mean, variance } = moments(xs)
    assert.closeTo(mean, 0, 4 / Math.sqrt(n))
    assert.closeTo(variance, 1, 4 * Math.sqrt(2 / n))
    assert.closeTo(kurtosis, 3, 4 * Math.sqrt(24 / n))
    assert.isBelow(kolmogorovSmirnov(xs, normalDistribution), 1.95)
  })

  it("uniforms have the moments and the distribution of U[0, 1), and stay below 1", () => {
    const xs = source.uniform({ purpose: "test", index: 0 }, n)
    const { mean, variance } = moments(xs)
    assert.closeTo(mean, 0.5, 4 * Math.sqrt(1 / 12 / n))
    assert.closeTo(variance, 1 / 12, 4 * Math.sqrt(1 / 180 / n))
    assert.isBelow(kolmogorovSmirnov(xs, (x) => x), 1.95)
    assert.isTrue(xs.every((x) => x >= 0 && x < 1))
  })

  it("first values across indices, steps and seeds are as random as the values of one draw", () => {
    const across = (draw: (i: number) => Float32Array) => Float32Array.from({ length: 4000 }, (_, i) => draw(i)[0]!)
    for (const xs of [
      across((index) => source.uniform({ purpose: "p", index }, 1)),
      across((step) => source.uniform({ purpose: "p", index: 7, step }, 1)),
      across((i) => Random.keyed(i).uniform({ purpose: "p", index: 0 }, 1)),
      across((i) => source.uniform({ purpose: `p${i}`, index: 0 }, 1))
    ]) assert.isBelow(kolmogorovSmirnov(xs, (x) => x), 1.95)
  })

  it("draws of different keys are uncorrelated, those of one key are equal", () => {
    const key = { purpose: "noise", index: 5, step: 2 }
    const xs = source.normal(key, n)
    assert.deepStrictEqual(Random.keyed(42).normal({ ...key }, n), xs)
    for (const other of [
      source.normal({ ...key, purpose: "noisf" }, n),
      source.normal({ ...key, index: 6 }, n),
      source.normal({ ...key, index: 5 + 2 ** 32 }, n),
      source.normal({ ...key, index: 2, step: 5 }, n),
      source.normal({ ...key, step: 3 }, n),
      Random.keyed(43).normal(key, n),
      Random.keyed(42 + 2 ** 32).normal(key, n),
      Random.keyed(-42).normal(key, n),
      source.uniform(key, n),
      Float32Array.of(...xs.subarray(1), xs[0]!)
    ]) assert.isBelow(Math.abs(correlation(xs, other)), 4 / Math.sqrt(n))
  })

  it("the first values of a long draw are the short draw", () => {
    fc.assert(fc.property(seed, fc.nat(), fc.nat(40), fc.nat(40), (seed, index, a, b) => {
      const [short, long] = a < b ? [a, b] : [b, a]
      const key = { purpose: "prefix", index }
      for (const draw of [Random.keyed(seed).normal, Random.keyed(seed).uniform]) {
        assert.deepStrictEqual(draw(key, long).slice(0, short), draw(key, short))
      }
    }))
  })

  it("rows depend on their own index, not on the batch", () => {
    const whole = Random.rows(source.normal, { purpose: "rows", indices: [3, 4, 5], step: 1 }, 6)
    assert.deepStrictEqual(Random.rows(source.normal, { purpose: "rows", indices: [4], step: 1 }, 6), whole.slice(6, 12))
    assert.deepStrictEqual(source.normal({ purpose: "rows", index: 5, step: 1 }, 6), whole.slice(12))
  })

  it("a word of zero bits, once in 2^32, is a large normal and not an infinite one", () => {
    const xs = Random.keyed(0).normal({ purpose: "noise", index: 1271748092 }, 4)
    assert.closeTo(Math.hypot(xs[2]!, xs[3]!), Math.sqrt(66 * Math.log(2)), 1e-5)
  })

  it("keeps its values from release to release", () => {
    const key = { purpose: "noise", index: 1, step: 2 }
    assert.deepStrictEqual(Array.from(Random.keyed(42).normal(key, 5)), [
      0.9934369325637817, 0.11801803857088089, 0.2697124481201172, -0.08398187160491943, -0.343450665473938
    ])
    assert.deepStrictEqual(Array.from(Random.keyed(42).uniform(key, 5)), [
      0.43560153245925903, 0.9513815641403198, 0.0887337327003479, 0.5446633696556091, 0.3189244270324707
    ])
  })

  it("refuses keys that it could not tell apart", () => {
    assert.throws(() => Random.keyed(0.5), /Random.keyed: seed must be a safe integer/)
    assert.throws(() => source.normal({ purpose: "p", index: -1 }, 1), /index must be an integer in \[0, 2\^52\), but it is -1/)
    assert.throws(() => source.uniform({ purpose: "p", index: 0, step: 2 ** 32 }, 1), /step must be/)
    assert.throws(() => source.normal({ purpose: "p", index: 0 }, NaN), /length must be/)
  })
})

describe("recorded draws", () => {
  const values = Float32Array.from({ length: 12 }, (_, i) => i)
  const record = Random.recorded({ rows: values, steps: { values, offset: Random.stepMajor(2) } })

  it("replays rows by index, and by step and index", () => {
    assert.deepStrictEqual(record.normal({ purpose: "rows", index: 2 }, 3), Float32Array.of(6, 7, 8))
    assert.deepStrictEqual(record.uniform({ purpose: "steps", index: 1, step: 1 }, 3), Float32Array.of(9, 10, 11))
  })

  it("fails past the end and on an unknown purpose, naming both", () => {
    assert.throws(() => record.normal({ purpose: "rows", index: 4 }, 3), RecordedDrawError, /"rows" \(index 4.*it holds 12/)
    assert.throws(() => record.normal({ purpose: "toString", index: 0 }, 1), RecordedDrawError, /on record: rows, steps/)
  })
})

describe("permutations", () => {
  it("keep every position once", () => {
    fc.assert(fc.property(seed, fc.nat(60), (seed, length) => {
      const order = Random.permutation(Random.keyed(seed), { purpose: "p", index: 0 }, length)
      assert.deepStrictEqual(Array.from(order).sort((a, b) => a - b), Array.from({ length }, (_, i) => i))
    }))
  })

  it("put every element everywhere equally often", () => {
    const counts = Array.from({ length: 5 }, () => new Float64Array(5))
    for (let index = 0; index < 5000; index++) {
      Random.permutation(source, { purpose: "fair", index }, 5).forEach((element, place) => { counts[place]![element]! += 1 })
    }
    for (const row of counts) for (const count of row) assert.closeTo(count, 1000, 4.5 * Math.sqrt(800))
  })

  it("shuffle another way in another epoch", () => {
    const order = (epoch: number) => Array.from({ length: 50 }, (_, i) => i).map(Random.shuffledIndex({ seed: 1, length: 50, epoch }))
    assert.deepStrictEqual(order(0), order(0))
    assert.notDeepEqual(order(0), order(1))
    assert.throws(() => Random.shuffledIndex({ seed: 1, length: 50 })(50), /position must be in \[0, 50\)/)
  })
})
