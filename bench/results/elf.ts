/** The command line in a process of its own, as the scripts here use it. */
import { spawnSync, type StdioOptions } from "node:child_process"
import { join } from "node:path"

/** The repository. */
export const root = join(import.meta.dirname, "../..")

/** Runs `elf` with these words; → its exit code, 1 where a signal ended it. */
export const elf = (words: ReadonlyArray<string>, stdio: StdioOptions = "inherit"): number =>
  spawnSync(process.execPath, [join(root, "src/cli.ts"), ...words], { stdio }).status ?? 1
