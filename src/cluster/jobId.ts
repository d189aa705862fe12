/**
 * What makes an inference the same job for all its processes, wherever the output folder is mounted.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { createHash, randomUUID } from "node:crypto"
import { link, mkdir, readFile, rm, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { attempt, type DiskError } from "../io/Disk.ts"
import type { Inference } from "../run/inference/index.ts"
import { bookFolder } from "../run/inference/planFile.ts"

/** Makes the file unless it is there; of several processes at once one makes it, whole, and all read the same. */
const claim = async (path: string): Promise<string> => {
  await mkdir(dirname(path), { recursive: true })
  const own = `${path}.${randomUUID()}`
  await writeFile(own, randomUUID(), { flush: true })
  try {
    await link(own, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
  } finally {
    await rm(own, { force: true })
  }
  return readFile(path, "utf8")
}

/** sha256 over configuration, model, input and output folder, 20 hexadecimal digits: the same on every machine. */
export const jobId = ({ plan, request }: Inference): Effect.Effect<string, DiskError> => {
  const path = join(bookFolder(request.output), "cluster-id")
  return Effect.map(attempt("make", path, () => claim(path)), (id) =>
    createHash("sha256").update(JSON.stringify([plan.configurationHash, plan.files, id])).digest("hex").slice(0, 20))
}
