/**
 * Runs the tests of the native kernels on each variant of them that this processor can run beside the best one, which all other
 * tests take.
 *
 *     node scripts/test-kernels.mjs
 */
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { labelOf, processorVariant, variants } from "../src/engine/processor.mjs"

const root = fileURLToPath(new URL("..", import.meta.url))
const tests = ["productKernel", "ownKernels", "forwardKernels"].map((name) => `test/model/${name}.test.ts`)

const best = processorVariant()
const others = best === undefined ? [] : variants.slice(variants.indexOf(best) + 1)
if (others.length === 0) console.log("NOT TESTED: this processor has no other variant of the kernels.")
for (const variant of others) {
  console.log(`Tests on kernels for ${labelOf(variant)}: ${tests.join(" ")}`)
  const env = { ...process.env, ELF_STREAMS_KERNELS: variant }
  const { status } = spawnSync(process.execPath, [join(root, "node_modules", "vitest", "vitest.mjs"), "run", ...tests], { cwd: root, env, stdio: "inherit" })
  if (status !== 0) process.exitCode = 1
}
