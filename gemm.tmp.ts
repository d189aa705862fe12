import * as tf from "@tensorflow/tfjs-core"
import { Effect } from "effect"
import { Backend } from "./src/model/Backend.ts"
const prog = Effect.gen(function*() {
  yield* Backend
  const b = tf.backend() as any
  const B = b.binding
  const mm = (name: string, ta: boolean, tb: boolean, x: tf.Tensor, y: tf.Tensor, extra: any[] = [], more: tf.Tensor[] = []) => {
    const batch = name.startsWith("Batch")
    const attrs = [{ name: "T", type: B.TF_ATTR_TYPE, value: B.TF_FLOAT }, { name: batch ? "adj_x" : "transpose_a", type: B.TF_ATTR_BOOL, value: ta }, { name: batch ? "adj_y" : "transpose_b", type: B.TF_ATTR_BOOL, value: tb }, ...extra]
    return b.executeSingleOutput(name, attrs, [x, y, ...more])
  }
  const time = (f: () => tf.Tensor) => { let best = 1e9; for (let i = 0; i < 8; i++) { const t = performance.now(); const r = f(); best = Math.min(best, performance.now() - t); r.dispose() } return best }
  const shapes: [number, number, number][] = [[2048, 2048, 2048], [1120, 256, 768], [1120, 256, 1364], [1120, 682, 256], [1120, 256, 256], [1024, 512, 32128], [1024, 1024, 512], [768, 768, 768], [280, 768, 2304], [280, 768, 4096], [280,2048,768]]
  for (const [m, k, n] of shapes) {
    const x = tf.randomNormal([m, k]), y = tf.randomNormal([k, n]), yt = tf.randomNormal([n, k]), bias = tf.randomNormal([n])
    const g = (ms: number) => (2 * m * k * n / ms / 1e6).toFixed(0).padStart(5)
    const fused = [{ name: "num_args", type: B.TF_ATTR_INT, value: 1 }, { name: "fused_ops", type: B.TF_ATTR_STRING, value: "BiasAdd" }]
    let f = "", f2 = ""
    try { f = g(time(() => mm("_FusedMatMul", false, false, x, y, fused, [bias]))); f2 = g(time(() => mm("_FusedMatMul", false, true, x, yt, fused, [bias]))) } catch (e) { f = String(e).slice(0, 100) }
    console.log([m, k, n].join("x").padEnd(18), "BMM nn", g(time(() => mm("BatchMatMulV2", false, false, x, y))), "nt", g(time(() => mm("BatchMatMulV2", false, true, x, yt))), "MM nn", g(time(() => mm("MatMul", false, false, x, y))), "nt", g(time(() => mm("MatMul", false, true, x, yt))), "Fused nn", f, "nt", f2)
    tf.dispose([x, y, yt, bias])
  }
})
await Effect.runPromise(prog.pipe(Effect.provide(Backend.layer)) as any)
