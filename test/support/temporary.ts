/** A folder that is gone after the test. */
import { Effect } from "effect"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"

export const temporaryFolder = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "elf-test-"))),
  (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
)
