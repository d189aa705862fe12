/**
 * The few disk operations that the file formats need, behind one replaceable service.
 *
 * Every reader and writer of `io` goes through {@link Disk}, so a test can make any single write, sync or rename fail
 * and see that nothing half-written is ever accepted. The default is `node:fs`; nobody has to provide it.
 *
 * @since 0.1.0
 */
import { Context, Effect, Schema } from "effect"
import { constants } from "node:fs"
import * as fs from "node:fs/promises"

/** An open file: reads at a position, appends, and reaches the disk with `sync`. */
export interface DiskFile {
  /** Size in bytes at the time of opening. */
  readonly size: number
  /** When it was last changed before it was opened, milliseconds since 1970. */
  readonly modified: number
  /** Reads up to `into.length` bytes from `position`; resolves to the number of bytes read, 0 at the end. */
  readonly read: (into: Uint8Array, position: number) => Promise<number>
  /** Writes all of `bytes` at the current end. */
  readonly append: (bytes: Uint8Array) => Promise<void>
  /** Resolves once everything written is on the disk. */
  readonly sync: () => Promise<void>
  /** Closes the file; never needed twice. */
  readonly close: () => Promise<void>
}

/** What a path is. */
export interface DiskEntry {
  readonly name: string
  readonly kind: "file" | "folder" | "other"
}

/** The operations themselves; each rejects with Node's own error, which {@link DiskError} explains. */
export interface DiskOperations {
  readonly openToRead: (path: string) => Promise<DiskFile>
  /** Creates a file that must not exist yet. */
  readonly openToWrite: (path: string) => Promise<DiskFile>
  readonly rename: (from: string, to: string) => Promise<void>
  /** Removes a file or a whole folder; a missing one is no error. */
  readonly remove: (path: string) => Promise<void>
  readonly makeFolder: (path: string) => Promise<void>
  /** Makes renames and removals inside a folder durable. */
  readonly syncFolder: (path: string) => Promise<void>
  readonly list: (path: string) => Promise<ReadonlyArray<DiskEntry>>
  readonly kind: (path: string) => Promise<"file" | "folder" | "other" | "missing">
}

const appendAll = async (handle: fs.FileHandle, bytes: Uint8Array) => {
  for (let offset = 0; offset < bytes.length;) {
    offset += (await handle.write(bytes, offset, bytes.length - offset)).bytesWritten
  }
}

const wrap = async (handle: fs.FileHandle): Promise<DiskFile> => {
  const stat = await handle.stat()
  return {
    size: stat.size,
    modified: stat.mtimeMs,
    read: async (into, position) => (await handle.read(into, 0, into.length, position)).bytesRead,
    append: (bytes) => appendAll(handle, bytes),
    sync: () => handle.sync(),
    close: () => handle.close()
  }
}

const kindOf = (entry: { isFile: () => boolean; isDirectory: () => boolean }) =>
  entry.isFile() ? "file" as const : entry.isDirectory() ? "folder" as const : "other" as const

const isMissing = (error: unknown) => ["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")

const syncFolder = async (path: string) => {
  // Windows cannot open a folder; there a rename is durable with the file's own sync.
  if (process.platform === "win32") return
  const handle = await fs.open(path, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const list = async (path: string): Promise<ReadonlyArray<DiskEntry>> => {
  const entries = await fs.readdir(path, { withFileTypes: true })
  return Promise.all(entries.map(async (entry) => {
    const found = entry.isSymbolicLink() ? await kind(`${path}/${entry.name}`) : kindOf(entry)
    return { name: entry.name, kind: found === "missing" ? "other" : found }
  }))
}

const kind = (path: string) =>
  fs.stat(path).then(kindOf, (error) => {
    if (isMissing(error)) return "missing" as const
    throw error
  })

/** The operations on `node:fs`. */
export const nodeDisk: DiskOperations = {
  openToRead: (path) => fs.open(path, "r").then(wrap),
  openToWrite: (path) => fs.open(path, "wx").then(wrap),
  rename: (from, to) => fs.rename(from, to),
  remove: (path) => fs.rm(path, { recursive: true, force: true }),
  makeFolder: (path) => fs.mkdir(path, { recursive: true }).then(() => undefined),
  syncFolder,
  list,
  kind
}

/** The disk in use: `node:fs` unless a test provides another one. */
export const Disk = Context.Reference<DiskOperations>("elf-streams/io/Disk", { defaultValue: () => nodeDisk })

const remedies: Record<string, string> = {
  ENOSPC: "the disk is full: free some space and run again",
  EDQUOT: "the disk quota is used up: free some space and run again",
  EACCES: "permission denied: check the owner and mode of the file and its folder",
  EPERM: "permission denied: check the owner and mode of the file and its folder",
  EROFS: "the file system is read-only: choose another folder",
  ENOENT: "no such file or folder: check the path",
  ENOTDIR: "a part of the path is a file, not a folder: check the path",
  EISDIR: "the path is a folder, not a file: check the path",
  EEXIST: "something of that name exists already",
  EIO: "the disk reported an input/output error: check the disk",
  EMFILE: "too many open files: raise the limit (ulimit -n)"
}

/** A disk operation that failed: which, on what path, with which system code, and what to do. */
export class DiskError extends Schema.TaggedError<DiskError>()("DiskError", {
  operation: Schema.String,
  path: Schema.String,
  code: Schema.String,
  remedy: Schema.String
}) {
  override get message(): string {
    return `Could not ${this.operation} ${this.path} (${this.code}): ${this.remedy}.`
  }
}

/** Turns what Node threw into a {@link DiskError}. */
export const explain = (operation: string, path: string) => (cause: unknown): DiskError => {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? "unknown error"
  return new DiskError({ operation, path, code, remedy: remedies[code] ?? String(cause) })
}

/** Runs one disk operation; its failure becomes a {@link DiskError} that names operation and path. */
export const attempt = <A>(
  operation: string,
  path: string,
  run: (disk: DiskOperations) => Promise<A>
): Effect.Effect<A, DiskError> =>
  Effect.flatMap(
    Effect.service(Disk),
    (disk) => Effect.tryPromise({ try: () => run(disk), catch: explain(operation, path) })
  )
