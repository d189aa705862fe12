/** The program behind `npm run parity`: what it says about a directory that is in order, and about ones that are not. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { kindOf } from "../bench/parity/cases/index.ts"
import { openDirectory } from "../bench/parity/Directory.ts"
import { type CaseReport, runDirectory } from "../bench/parity/run.ts"
import { table } from "../bench/parity/table.ts"
import { judge } from "../bench/parity/Finding.ts"
import { testEngine } from "./support/backend.ts"
import { directory as shipped, type Fixture, fixture, fixtureCase } from "./support/fixtures.ts"
import { assertCase } from "./support/parity.ts"
import { root } from "./support/program.ts"

interface Plan {
  /** Cases of test/fixtures that are copied, in this order. */
  readonly cases: ReadonlyArray<string>
  /** Further entries of the manifest. */
  readonly more?: ReadonlyArray<{ readonly name: string; readonly group: string }>
  /** Files that are written instead of copied: the arrays of a case, changed. */
  readonly changed?: Readonly<Record<string, (recorded: Fixture) => Arrays>>
  /** Files that are not there. */
  readonly missing?: ReadonlyArray<string>
}

type Arrays = ReadonlyMap<string, { readonly shape: ReadonlyArray<number>; readonly data: Float32Array | Int32Array }>

const arraysOf = (recorded: Fixture): Map<string, { shape: ReadonlyArray<number>; data: Float32Array }> =>
  new Map(recorded.names.map((name) => [name, { shape: recorded.shape(name), data: recorded.floats(name) }]))

const safetensors = (arrays: Arrays): Buffer => {
  let at = 0
  const header = Object.fromEntries(Array.from(arrays, ([name, { data, shape }]) =>
    [name, { dtype: data instanceof Int32Array ? "I32" : "F32", shape, data_offsets: [at, at += data.byteLength] }]))
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text, ...Array.from(arrays.values(), ({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength))])
}

const write = (folder: string, { cases, changed = {}, missing = [], more = [] }: Plan): void => {
  writeFileSync(join(folder, "manifest.json"), JSON.stringify({ cases: [...cases.map((name) => fixtureCase(name)), ...more] }))
  for (const name of cases.filter((each) => !missing.includes(each) && each !== "lr_schedules")) {
    const target = join(folder, `${name}.safetensors`)
    const change = changed[name]
    if (change === undefined) copyFileSync(join(shipped.path, `${name}.safetensors`), target)
    else writeFileSync(target, safetensors(change(fixture(name))))
  }
}

const inDirectory = <A, E, R>(plan: Plan, use: (folder: string) => Effect.Effect<A, E, R>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const folder = mkdtempSync(join(tmpdir(), "parity-"))
      write(folder, plan)
      return folder
    }),
    use,
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  )

const reportOf = (plan: Plan) => inDirectory(plan, (folder) => Effect.suspend(() => runDirectory(openDirectory(folder), "the test's engine")))

const verdicts = (cases: ReadonlyArray<CaseReport>) => Object.fromEntries(cases.map((each) => [each.case, each.verdict]))

/** One value of one array, moved by a ten-thousandth of the array's largest. */
const corrupted = (array: string) => (recorded: Fixture): Arrays => {
  const arrays = arraysOf(recorded)
  const { data } = arrays.get(array)!
  data[data.length - 1]! += 1e-4 * data.reduce((a, b) => Math.max(a, Math.abs(b)), 0)
  return arrays
}

/** Rows `from` to `to` of every array whose first axis is the batch. */
const someRows = (from: number, to: number) => (recorded: Fixture): Arrays => {
  const size = recorded.shape("t")[0]!
  return new Map(Array.from(arraysOf(recorded), ([name, { data, shape: [, ...rest] }]) => {
    const row = data.length / size
    return [name, { shape: [to - from, ...rest], data: data.slice(from * row, to * row) }]
  }))
}

layer(testEngine)("a directory", (it) => {
  it.effect("passes in any order, with other numbers of rows, with arrays trimmed away", () =>
    Effect.gen(function*() {
      const report = yield* reportOf({
        cases: ["lr_schedules", "fwd_mixed", "newton_schulz", "fwd_trace", "fwd_decoder", "model"],
        changed: {
          fwd_decoder: someRows(1, 3),
          newton_schulz: (recorded) => new Map([...arraysOf(recorded)].filter(([name]) => !/[34]$/.test(name)))
        }
      })
      assert.isTrue(report.passed, table(report))
      assert.deepStrictEqual(report.cases.map((each) => each.case), ["lr_schedules", "fwd_mixed", "newton_schulz", "fwd_trace", "fwd_decoder", "model"])
      assert.deepStrictEqual(report.cases[2]!.rows.map(({ array }) => array).sort(), ["out0", "out1", "out2", "out_zero"])
      assert.match(table(report), /All cases passed\.\n$/)
    }))

  it.effect("fails by one wrong value, and says where", () =>
    Effect.gen(function*() {
      const report = yield* reportOf({ cases: ["newton_schulz", "model", "lr_schedules"], changed: { newton_schulz: corrupted("out1") } })
      assert.isFalse(report.passed)
      assert.deepStrictEqual(verdicts(report.cases), { newton_schulz: "failed", model: "passed", lr_schedules: "passed" })
      const wrong = report.cases[0]!.rows.filter(({ passed }) => !passed)
      assert.deepStrictEqual(wrong.map(({ array }) => array), ["out1"])
      assert.closeTo(wrong[0]!.relative, 1e-4, 2e-5)
      const text = table(report)
      assert.match(text, /^ {2}out1 .*1\.0e-4 .*FAILED$/m)
      assert.match(text, /^c_optim +2 cases: 1 passed, 1 failed; .*worst optimizer .*\(newton_schulz: out1\)$/m)
      assert.match(text, /Not all cases passed\.\n$/)
    }))

  it.effect("does not pass over cases that it does not know, that lack what they need, or whose file is missing", () =>
    Effect.gen(function*() {
      const report = yield* reportOf({
        cases: ["collate_owt", "model", "fwd_mixed"],
        more: [{ name: "surprise", group: "z_new" }, { name: "distill_other", group: "h_distill" }],
        missing: ["fwd_mixed"]
      })
      assert.isFalse(report.passed)
      assert.deepStrictEqual(verdicts(report.cases), {
        collate_owt: "passed", model: "passed", fwd_mixed: "failed", surprise: "unknown", distill_other: "not run"
      })
      const text = table(report)
      assert.match(text, /fwd_mixed: failed: .*fwd_mixed\.safetensors is missing/)
      assert.match(text, /^unknown: surprise: this program knows no such case$/m)
      assert.match(text, /^not run: distill_other: the directory has no student and teacher \(distill_models\)$/m)
    }))

  it.effect("does not pass over an array that nothing is compared with, nor over a file that no case owns", () =>
    Effect.gen(function*() {
      const extra = (recorded: Fixture): Arrays => arraysOf(recorded).set("more.out", { shape: [1], data: Float32Array.of(1) })
      const plan: Plan = { cases: ["collate_owt"], changed: { collate_owt: extra } }
      const report = yield* inDirectory(plan, (folder) => Effect.suspend(() => {
        writeFileSync(join(folder, "stray.json"), "{}")
        return runDirectory(openDirectory(folder), "the test's engine")
      }))
      assert.deepStrictEqual(report.cases.map(({ verdict, why }) => [verdict, why]), [["failed", "not compared: more.out"]])
      assert.deepStrictEqual(report.others, ["stray.json"])
      assert.match(table(report), /In no case of the manifest, not looked at: stray\.json/)
    }))
})

layer(testEngine)("checkpoints", (it) => {
  it.effect("of PyTorch and of JAX: every tensor, every moment that is recorded, and what their networks compute", () =>
    Effect.gen(function*() {
      const torch = yield* assertCase("ckpt_torch_expected")
      assert.includeMembers(torch.rows.map(({ array }) => array), ["step", "out_params", "logits_params", "out_ema", "logits_ema", "opt.state0.momentum_buffer"])
      const jax = yield* assertCase("ckpt_jax_expected")
      assert.includeMembers(jax.rows.map(({ array }) => array), ["step", "out_params", "logits_params", "out_ema_params1", "logits_ema_params1"])
    }))

  it.effect("ckpt_train_traj: the run that ends with the PyTorch checkpoint", () =>
    Effect.gen(function*() {
      const { rows } = yield* assertCase("ckpt_train_traj")
      const count = (prefix: string) => rows.filter(({ array }) => array.startsWith(prefix)).length
      assert.deepStrictEqual([count("metrics["), count("grad_norms[")], [9, 3])
      assert.isAbove(count("checkpoint: momentum/"), 15)
    }))
})

describe("a comparison", () => {
  const comparison = { array: "a", quantity: "forward", expected: [1, 2] } as const

  it("fails on another length, on nothing at all, and on what is no number", () => {
    assert.isTrue(judge({ ...comparison, actual: [1, 2] }).passed)
    assert.isFalse(judge({ ...comparison, actual: [1] }).passed)
    assert.isFalse(judge({ ...comparison, actual: [1, 2, 3] }).passed)
    assert.isFalse(judge({ ...comparison, actual: [], expected: [] }).passed)
    assert.isFalse(judge({ ...comparison, actual: [1, NaN] }).passed)
    assert.isFalse(judge({ ...comparison, actual: [1, 2], expected: [1, NaN] }).passed)
    assert.isFalse(judge({ ...comparison, actual: [1, Infinity] }).passed)
  })

  it("is relative to the largest expected value", () => {
    const { absolute, relative } = judge({ ...comparison, actual: [1.5, 2] })
    assert.deepStrictEqual([absolute, relative], [0.5, 0.25])
  })

  it("every shipped case is of a known kind", () =>
    assert.deepStrictEqual(shipped.cases.map(({ name }) => name).filter((name) => kindOf(name) === undefined), []))
})

describe("the program", () => {
  interface Ended {
    readonly code: number
    readonly output: string
    readonly errors: string
  }

  const parity = (...parameters: ReadonlyArray<string>): Promise<Ended> =>
    new Promise((resolve) => {
      execFile(process.execPath, [join(root, "bench", "parity", "main.ts"), ...parameters], { cwd: root, encoding: "utf8" }, (error, output, errors) =>
        resolve({ code: error === null ? 0 : Number(error.code), output, errors }))
    })

  it.effect("exits with 0 when every case passes, and prints the report as JSON if asked", () =>
    Effect.gen(function*() {
      const { code, errors, output } = yield* inDirectory({ cases: ["lr_schedules", "collate_cond"] }, (folder) =>
        Effect.promise(() => parity(folder, "--json", "--engine", "cpu")))
      assert.strictEqual(code, 0, errors)
      const report = JSON.parse(output) as { readonly passed: boolean; readonly cases: ReadonlyArray<CaseReport> }
      assert.isTrue(report.passed)
      assert.deepStrictEqual(verdicts(report.cases), { lr_schedules: "passed", collate_cond: "passed" })
    }))

  it.effect("exits with 1 when one was not run", () =>
    Effect.gen(function*() {
      const plan = { cases: ["lr_schedules"], more: [{ name: "distill_other", group: "h_distill" }] }
      const { code, output } = yield* inDirectory(plan, (folder) => Effect.promise(() => parity(folder, "--engine", "cpu")))
      assert.strictEqual(code, 1)
      assert.match(output, /^total +2 cases: 1 passed, 1 not run;/m)
    }))

  it("exits with 2 on a directory without a manifest, another engine, no directory", async () => {
    for (const parameters of [[tmpdir()], [shipped.path, "--engine", "abacus"], [], [shipped.path, "--fast"]]) {
      const { code, errors } = await parity(...parameters)
      assert.strictEqual(code, 2)
      assert.match(errors, /\nUsage: npm run parity -- DIR /)
    }
  })
})
