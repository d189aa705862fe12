/** The kernels of this package at installation and loading: which variant, and what becomes of a failure. */
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { install } from "../../src/engine/index.mjs"
import { kernelsOf, registerKernels } from "../../src/engine/ownKernels.mjs"
import { variantFor } from "../../src/engine/processor.mjs"
import { useSandbox } from "./sandbox.ts"

const v3 = "fma movbe f16c bmi1 avx2 bmi2 abm"
const v4 = `${v3} avx512f avx512dq avx512cd avx512bw avx512vl`
const amx = `${v4} amx_bf16 amx_tile`
const cpuinfo = (flags: string) => `processor\t: 0\nvendor_id\t: Any\nflags\t\t: fpu sse2 ${flags}\nbugs\t\t: none\n\nprocessor\t: 1\nflags\t\t: fpu\n`

describe("variantFor", () => {
  it("takes the best level whose flags are all there", () => {
    expect(variantFor(cpuinfo(amx))).toBe("v4-amx")
    expect(variantFor(cpuinfo(v4))).toBe("v4")
    expect(variantFor(cpuinfo(v3))).toBe("v3")
    for (const flag of v3.split(" ")) {
      expect([flag, variantFor(cpuinfo(v4.replace(flag === "avx2" ? "avx2 " : `${flag} `, "")))]).toEqual([flag, undefined])
    }
    for (const flag of ["amx_bf16", "amx_tile"]) expect([flag, variantFor(cpuinfo(`${amx} `.replace(`${flag} `, "")))]).toEqual([flag, "v4"])
    for (const flag of v4.split(" ").slice(7)) expect([flag, variantFor(cpuinfo(`${v4} `.replace(`${flag} `, "")))]).toEqual([flag, "v3"])
  })

  it("takes none where a longer name contains the flag, or there are no flags", () => {
    expect(variantFor(cpuinfo(v3.replace("fma", "fma4")))).toBeUndefined()
    expect(variantFor("processor\t: 0\nFeatures\t: fp asimd\n")).toBeUndefined()
    expect(variantFor("")).toBeUndefined()
  })
})

const onX64 = process.arch === "x64"

describe("an installation", () => {
  const sandbox = useSandbox()
  const variants = (folder: string) => readdirSync(join(folder, "tensorflow")).filter((name) => name.startsWith("elf_kernels"))

  it.runIf(onX64)("compiles all variants beside the libraries", async () => {
    sandbox.compiler()
    const { folder, manifest } = await install({ libtensorflow: sandbox.tensorflow("named"), gpu: false })
    expect(variants(folder)).toEqual(["elf_kernels_v3.node", "elf_kernels_v4-amx.node", "elf_kernels_v4.node"])
    expect(Object.keys(manifest.files)).toContain("tensorflow/elf_kernels_v4.node")
  })

  it.runIf(onX64)("does without what the compiler refuses, and says so in one line", async () => {
    sandbox.compiler()
    sandbox.program("g++", `case "$*" in *x86-64-v*) echo "g++: error: bad value for -march" >&2; exit 1;; esac
while [ "$1" != "-o" ]; do shift; done; printf compiled > "$2"`)
    const lines: Array<string> = []
    const options = { libtensorflow: sandbox.tensorflow("named"), gpu: false, log: (line: string) => lines.push(line) }
    const { binding, folder } = await install(options)
    expect(variants(folder)).toEqual([])
    expect(kernelsOf({ binding })).toEqual([])
    expect(lines.filter((line) => line.startsWith("without the kernels"))).toEqual([expect.stringContaining("bad value for -march")])
    sandbox.compiler()
    await install({ ...options, force: true })
    expect(variants(folder)).toHaveLength(3)
  })

  it("compiles none for a GPU", async () => {
    sandbox.compiler()
    const { folder } = await install({ libtensorflow: sandbox.tensorflow("named"), gpu: true })
    expect(variants(folder)).toEqual([])
  })

  it("leaves them out where ELF_STREAMS_KERNELS is 0", async () => {
    sandbox.compiler()
    const { binding } = await install({ libtensorflow: sandbox.tensorflow("named"), gpu: false })
    process.env["ELF_STREAMS_KERNELS"] = "0"
    expect(kernelsOf({ binding })).toEqual([])
    expect(registerKernels({ binding }, 1)).toBeUndefined()
  })

  it.runIf(onX64)("takes none better than the one that ELF_STREAMS_KERNELS names", async () => {
    sandbox.compiler()
    const { binding } = await install({ libtensorflow: sandbox.tensorflow("named"), gpu: false })
    const all = kernelsOf({ binding }).map(({ variant }) => variant)
    if (all.length < 2) return void process.stderr.write("\nNOT TESTED: this processor has no variant of the kernels to leave out.\n")
    process.env["ELF_STREAMS_KERNELS"] = all[1]
    expect(kernelsOf({ binding }).map(({ variant }) => variant)).toEqual(all.slice(1))
    process.env["ELF_STREAMS_KERNELS"] = "v4-amx"
    expect(kernelsOf({ binding }).map(({ variant }) => variant)).toEqual(all)
  })

  it.runIf(onX64)("goes on with the next variant where the system does not let one run", async () => {
    sandbox.compiler()
    const { binding } = await install({ libtensorflow: sandbox.tensorflow("named"), gpu: false })
    const [best, next] = kernelsOf({ binding })
    if (best === undefined || next === undefined) return void process.stderr.write("\nNOT TESTED: this processor has no second variant of the kernels.\n")
    const threads: Array<number> = []
    const normals = () => {}
    const open = (path: string) => ({
      normals,
      register: (count: number) => {
        if (path === best.path) throw new Error("the system gives no tile registers")
        threads.push(count)
      }
    })
    expect(registerKernels({ binding }, 3, open)).toEqual({ variant: next.variant, normals })
    expect(threads).toEqual([3])
  })

  it.runIf(onX64)("warns where a variant cannot be loaded, and goes on without", async () => {
    sandbox.compiler()
    const { binding } = await install({ libtensorflow: sandbox.tensorflow("named"), gpu: false })
    if (kernelsOf({ binding }).length === 0) return void process.stderr.write("\nNOT TESTED: this processor runs no variant of the kernels.\n")
    const warnings: Array<string> = []
    const { emitWarning } = process
    process.emitWarning = (warning: string | Error) => void warnings.push(String(warning))
    try {
      expect(registerKernels({ binding }, 1)).toBeUndefined()
    } finally {
      process.emitWarning = emitWarning
    }
    expect(warnings).toEqual([expect.stringContaining("could not be loaded")])
  })
})
