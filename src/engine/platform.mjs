/**
 * What this machine is: the facts that decide which engine fits it.
 *
 * @since 0.1.0
 */
import { existsSync, readFileSync } from "node:fs"
import { arch, platform } from "node:process"
import { findProgram } from "./command.mjs"

const driverFile = "/proc/driver/nvidia/version"

/**
 * The machine's kind as Node names it, such as `linux-x64`; with `-musl` where the C library is not glibc.
 *
 * @returns {string}
 */
export const platformKey = () => (isMusl() ? `${platform}-${arch}-musl` : `${platform}-${arch}`)

/** Published TensorFlow libraries need glibc; Node's own report tells which C library it runs on, slowly, so a file is asked. */
const isMusl = () => platform === "linux" && existsSync(`/lib/ld-musl-${arch === "x64" ? "x86_64" : "aarch64"}.so.1`)
  && !existsSync("/lib64/ld-linux-x86-64.so.2") && !existsSync("/lib/ld-linux-aarch64.so.1")

/**
 * Version of the NVIDIA kernel driver, `"present"` when only its tool is there, or nothing when the machine has none.
 *
 * @returns {string | undefined}
 */
export const nvidiaDriver = () => {
  if (existsSync(driverFile)) {
    return /Kernel Module[^\d]*(\d+[\d.]*)/.exec(readFileSync(driverFile, "utf8"))?.[1] ?? "present"
  }
  return findProgram("nvidia-smi") === undefined ? undefined : "present"
}
