/**
 * Compiles `src` into `dist`, from nothing: what the package publishes.
 *
 *     npm run build
 */
import { spawnSync } from "node:child_process"
import { rmSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = dirname(dirname(fileURLToPath(import.meta.url)))

rmSync(join(root, "dist"), { recursive: true, force: true })
const { status } = spawnSync(join(root, "node_modules", ".bin", "tsc"), ["-p", join(root, "tsconfig.build.json")], { stdio: "inherit" })
process.exitCode = status ?? 1
