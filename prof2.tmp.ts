import * as tf from "@tensorflow/tfjs-core"
import { Effect, Layer, Stream } from "effect"
import { Backend } from "./src/model/Backend.ts"
import { keyed } from "./src/flow/Random.ts"
import { initialParameters } from "./src/model/Initialization.ts"
import { Network } from "./src/model/Network.ts"
import { TrainState } from "./src/model/TrainState.ts"
import { configurationOf, modelOf } from "./bench/speed/configuration.ts"
import * as M from "./bench/speed/measure.ts"
const [what = "forward", ...rest] = process.argv.slice(2)
const c = configurationOf(rest)
const stats = new Map<string, {n: number, ms: number}>()
let total = 0
const prog = Effect.gen(function*() {
  const backend = yield* Backend
  const b = tf.backend() as any
  const wrapBinding = (o: any, m: string) => {
    const f = o[m].bind(o)
    o[m] = (name: string, attrs: any, inputs: any, n: any) => {
      const t = performance.now()
      const r = f(name, attrs, inputs, n)
      const dt = performance.now() - t
      total += dt
      const key = m === "executeOp" ? name + " " + attrs.map((a: any) => a.type === 10 || typeof a.value === "boolean" ? a.value : "").join("") + (globalThis as any).inp : m
      const s = stats.get(key) ?? {n: 0, ms: 0}; s.n++; s.ms += dt; stats.set(key, s)
      return r
    }
  }
  const inner = b.binding
  const bb: any = {}
  for (const k of ["executeOp", "tensorDataSync", "createTensor", "deleteTensor"]) { bb[k] = inner[k].bind(inner); wrapBinding(bb, k) }
  b.binding = new Proxy({}, { get: (_t, k: any) => k in bb ? bb[k] : typeof inner[k] === "function" ? inner[k].bind(inner) : inner[k] })
  const orig = b.getInputTensorIds.bind(b); b.getInputTensorIds = (xs: any) => { (globalThis as any).inp = xs.map((x: any) => `[${x.shape}]`).join(""); return orig(xs) }
  const { elf } = yield* Network
  const run = (what === "forward" || what === "logits")
    ? backend.kernel("x", () => (M as any).forwardPass(elf, c, what === "forward" ? "prediction" : "logits"))
    : what === "opt" ? (M as any).optimizerOnly({...c, train_reps: 1}) : what === "sample" ? (M as any).sampleOnce(c) : (M as any).trainStep({...c, train_reps: 1})
  for (let i = 0; i < 2; i++) yield* run
  const n = what === "forward" || what === "logits" ? 5 : 1
  stats.clear(); total = 0
  const t = performance.now()
  for (let i = 0; i < n; i++) yield* run
  const wall = (performance.now() - t) / n
  console.log(what, "wall", wall.toFixed(1), "ms; in ops", (total / n).toFixed(1))
  for (const [k, s] of [...stats].sort((a, b) => b[1].ms - a[1].ms).slice(0, 28)) { const d = [...k.matchAll(/\[([\d,]+)\]/g)].map((m) => m[1]!.split(",").map(Number)); let g = ""; if (k.startsWith("BatchMat") && d.length === 2) { const [x, y] = d as any; const ta = /^BatchMatMulV2 true|^BatchMatMulV2 .*truefalse\[/.test(k); const size = (v: number[]) => v.reduce((p, q) => p * q, 1); const bt = size(x.slice(0, -2)); const kk = k.includes("truetrue") ? x.at(-2) : k.match(/(true|false)(true|false)/)![1] === "true" ? x.at(-2) : x.at(-1); const mm = size(x) / bt / kk; const nn = size(y) / Math.max(1, size(y.slice(0, -2))) / kk; g = (2 * bt * mm * kk * nn / (s.ms / s.n) / 1e6).toFixed(0) + " GF/s" }
  console.log(k.padEnd(70), String(s.n / n).padStart(6), (s.ms / n).toFixed(2).padStart(10), g) }
})
await Effect.runPromise(Effect.scoped(prog as any).pipe(Effect.provide(TrainState.layer({ config: modelOf(c), optimizer: { kind: c.optimizer, weightDecay: 0, beta1: 0.9, beta2: 0.95 }, from: initialParameters(modelOf(c), keyed(0)) }) as any), Effect.provide(Layer.mergeAll((M as any).encoderOf(c))), Effect.provide(Backend.layer)) as any)
