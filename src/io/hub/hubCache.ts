/**
 * The cache that Hugging Face's tools share, so that what one of them fetched the others find:
 *
 *     models--OWNER--NAME/refs/REVISION                the commit that a branch or tag was last seen at
 *     models--OWNER--NAME/snapshots/COMMIT/FILE        a link to the blob
 *     models--OWNER--NAME/blobs/ETAG                   the bytes, named after their checksum
 *     models--OWNER--NAME/.no_exist/COMMIT/FILE        the commit is known not to have the file
 *
 * @source `huggingface_hub/file_download.py`
 * @since 0.1.0
 */
import { Effect } from "effect"
import { existsSync } from "node:fs"
import { mkdir, open, readFile, rename, rm, symlink, writeFile } from "node:fs/promises"
import { dirname, join, relative } from "node:path"
import { attempt, type DiskError } from "../Disk.ts"
import { temporaryName } from "../temporaryName.ts"

/** Folder of one repository. */
export const repositoryFolder = (cache: string, repository: string): string => join(cache, `models--${repository.replaceAll("/", "--")}`)

/** Whether a revision is a commit by its full hash: then it never changes. */
export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision)

/** The commit that `revision` was last seen at; undefined where the cache does not know it. */
export const cachedCommit = (folder: string, revision: string): Effect.Effect<string | undefined> =>
  isCommit(revision)
    ? Effect.succeed(revision)
    : Effect.promise(() => readFile(join(folder, "refs", revision), "utf8").then((text) => text.trim(), () => "")).pipe(
      Effect.map((commit) => isCommit(commit) ? commit : undefined)
    )

/** Folder with the files of one commit. */
export const snapshotFolder = (folder: string, commit: string): string => join(folder, "snapshots", commit)

/** A file of a commit: its path, `"absent"` where the commit is known not to have it, undefined where nothing is known. */
export const cachedFile = (folder: string, commit: string, file: string): string | undefined => {
  const path = join(snapshotFolder(folder, commit), file)
  // A link whose blob was deleted does not exist either.
  if (existsSync(path)) return path
  return existsSync(join(folder, ".no_exist", commit, file)) ? "absent" : undefined
}

const writeText = (path: string, text: string): Effect.Effect<void, DiskError> =>
  attempt("write", path, async () => {
    await mkdir(dirname(path), { recursive: true })
    const temporary = temporaryName(path)
    await writeFile(temporary, text)
    await rename(temporary, path)
  })

/** Remembers the commit of a branch or tag. */
export const rememberCommit = (folder: string, revision: string, commit: string): Effect.Effect<void, DiskError> =>
  isCommit(revision) ? Effect.void : writeText(join(folder, "refs", revision), commit)

/** Remembers that a commit does not have a file. */
export const rememberAbsent = (folder: string, commit: string, file: string): Effect.Effect<void, DiskError> =>
  writeText(join(folder, ".no_exist", commit, file), "")

/** Path of the bytes with this checksum. */
export const blobPath = (folder: string, etag: string): string => join(folder, "blobs", etag)

const syncFile = async (path: string): Promise<void> => {
  const handle = await open(path, "r+")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Gives complete bytes their name among the blobs. */
export const publishBlob = (partial: string, blob: string): Effect.Effect<void, DiskError> =>
  attempt("write", blob, async () => {
    await syncFile(partial)
    await rename(partial, blob)
  })

/** Makes `file` of `commit` a link to the blob; where links cannot be made (Windows), the blob itself moves there. */
export const linkFile = (folder: string, commit: string, file: string, blob: string): Effect.Effect<string, DiskError> => {
  const path = join(snapshotFolder(folder, commit), file)
  return attempt("write", path, async () => {
    await mkdir(dirname(path), { recursive: true })
    const temporary = temporaryName(path)
    try {
      await symlink(relative(dirname(path), blob), temporary)
    } catch (error) {
      if (!["EPERM", "ENOSYS", "ENOTSUP"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error
      await rename(blob, path)
      return path
    }
    await rename(temporary, path).catch(async (error) => {
      await rm(temporary, { force: true })
      throw error
    })
    return path
  })
}
