import { expect, it } from "vitest"
import * as tf from "@tensorflow/tfjs-core"
import { load } from "../../src/engine/index.mjs"
import { createRequire } from "node:module"
it("x", async () => {
  const r = createRequire(import.meta.url)("@tensorflow/tfjs-core")
  console.log(Object.keys(tf).length, r.engine === tf.engine, import.meta.resolve?.("@tensorflow/tfjs-core"))
  load(tf)
  await tf.setBackend("tensorflow")
  expect(tf.matMul(tf.ones([2, 2]), tf.ones([2, 2])).dataSync()[0]).toBe(2)
})
