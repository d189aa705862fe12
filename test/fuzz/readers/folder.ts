/** Files on the real disk, for readers that open them by path. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

let made: string | undefined

/** The one folder of this process, which goes when it ends. */
export const fuzzFolder = (): string => {
  if (made === undefined) {
    made = mkdtempSync(join(tmpdir(), "elf-fuzz-"))
    process.on("exit", () => rmSync(made!, { recursive: true, force: true }))
  }
  return made
}

/** Writes a file there; its path. */
export const place = (name: string, bytes: Uint8Array | string): string => {
  const path = join(fuzzFolder(), name)
  writeFileSync(path, bytes)
  return path
}
