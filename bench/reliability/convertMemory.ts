/**
 * The memory that `elf convert` takes: writes a checkpoint of a published size with all that training keeps, converts it,
 * and says how large it was and what the conversion's largest resident set was.
 *
 *     node bench/reliability/convertMemory.ts [ELF-B|ELF-M|ELF-L]
 */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Checkpoint, ModelConfig, RunConfig, type Safetensors } from "../../src/index.ts"

const cli = fileURLToPath(new URL("../../src/cli.ts", import.meta.url))
const folder = mkdtempSync(join(tmpdir(), "elf-convert-"))

const sized = (name: string, shape: ReadonlyArray<number>): Safetensors.DeferredTensor => ({
  name,
  shape,
  read: Effect.sync(() => Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => (i % 1013) / 1013 - 0.5))
})

/** Weights, average and moments of a run of `preset`, none of it ever in memory at once. */
const write = Effect.fnUntraced(function*(preset: string) {
  const run = yield* RunConfig.decode({ model: { preset, length: 1024 }, data: { train: "none.parquet" }, optimizer: { steps: 1 } })
  const shapes = [...ModelConfig.parameterShapes(run.model)]
  const tensors = shapes.map(([name, shape]) => sized(name, shape))
  const moments = shapes.flatMap(([name, shape]) => (shape.length === 2 ? ["momentum"] : ["mean", "variance"]).map((part) => sized(`${part}/${name}`, shape)))
  return yield* Checkpoint.writeFolder(join(folder, "input"), { step: 1, configuration: run, metadata: { updates: 1 }, sections: { model: tensors, ema: tensors, optimizer: moments } })
})

/** Peak resident memory of a process, in bytes, as Linux counts it. */
const peakOf = (parameters: ReadonlyArray<string>): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, ...parameters], { stdio: ["ignore", "ignore", "inherit"] })
    let peak = 0
    const timer = setInterval(() => {
      try {
        peak = Math.max(peak, 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1] ?? 0))
      } catch {
        // It has just ended.
      }
    }, 20)
    child.on("error", reject)
    child.on("close", (code) => {
      clearInterval(timer)
      if (code === 0) resolve(peak)
      else reject(new Error(`elf ${parameters.join(" ")} ended with ${code}`))
    })
  })

const megabytes = (bytes: number): number => Math.round(bytes / 2 ** 20)

const [preset = "ELF-B"] = process.argv.slice(2)
const { bytes } = await Effect.runPromise(write(preset))
const idle = await peakOf(["--version"])
const toElf = await peakOf(["convert", join(folder, "input"), join(folder, "elf")])
const toTorch = await peakOf(["convert", join(folder, "input"), join(folder, "out.safetensors"), "--to", "torch"])
process.stdout.write(`${JSON.stringify({ preset, checkpointMB: megabytes(bytes), idleMB: megabytes(idle), toElfMB: megabytes(toElf), toTorchMB: megabytes(toTorch) })}\n`)
rmSync(folder, { recursive: true })
