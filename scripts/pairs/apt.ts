/**
 * What apt's own client fetches, in folders of its own: no root, and the system's lists stay as they are.
 */
import { Effect, Schema } from "effect"
import { execFile } from "node:child_process"
import { mkdir, readdir, readFile } from "node:fs/promises"
import { join, resolve } from "node:path"

/** Debian's texts could not be fetched or read. */
export class AptError extends Schema.TaggedError<AptError>()("AptError", {
  what: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.what}: ${this.detail}. Run it on Debian (or in its container), with a deb line for main in the sources of apt.`
  }
}

const failing = (what: string) => (cause: unknown) => new AptError({ what, detail: (cause instanceof Error ? cause.message : String(cause)).trim().split("\n").at(-1)!.replace(/\.$/u, "") })

const run = (command: string, args: ReadonlyArray<string>, cwd: string): Effect.Effect<string, AptError> =>
  Effect.tryPromise({
    try: () => new Promise<string>((done, fail) =>
      execFile(command, [...args], { cwd, maxBuffer: 2 ** 30, encoding: "utf8" }, (error, output) => error === null ? done(output) : fail(error))),
    catch: failing(`${command} ${args.at(-1)}`)
  })

/** Both languages' descriptions, lists and caches below `folder`. */
const options = (folder: string): ReadonlyArray<string> =>
  [
    `Dir::State::lists=${join(folder, "lists")}`,
    `Dir::Cache=${join(folder, "cache")}`,
    "Acquire::Languages=de,en",
    "APT::Sandbox::User=root"
  ].flatMap((option) => ["-o", option])

/** Fetches the indices of the system's sources, descriptions in German and English among them. */
export const update = Effect.fnUntraced(function*(folder: string) {
  yield* Effect.promise(() => Promise.all(["lists/partial", "cache/archives/partial"].map((name) => mkdir(join(folder, name), { recursive: true }))))
  yield* run("apt-get", [...options(resolve(folder)), "update"], folder)
})

/** The text of every fetched index of a kind (`Packages`, `Translations`) whose file name matches. */
export const indices = Effect.fnUntraced(function*(folder: string, createdBy: string, name: RegExp) {
  const lines = yield* run("apt-get", [...options(resolve(folder)), "indextargets", "--format", "$(FILENAME)", `Created-By: ${createdBy}`], folder)
  const files = lines.split("\n").filter((file) => name.test(file)).sort()
  return yield* Effect.forEach(files, (file) => run("/usr/lib/apt/apt-helper", ["cat-file", file], folder))
})

/** Downloads packages and unpacks each into a folder of its name; → name and version of each. */
export const download = Effect.fnUntraced(function*(folder: string, packages: ReadonlyArray<string>) {
  yield* run("apt-get", [...options(resolve(folder)), "download", ...packages], folder)
  const files = yield* Effect.promise(() => readdir(folder))
  return yield* Effect.forEach(packages, Effect.fnUntraced(function*(name) {
    const file = files.filter((file) => file.startsWith(`${name}_`)).sort().at(-1)
    if (file === undefined) return yield* new AptError({ what: name, detail: "apt-get download left no file" })
    yield* run("dpkg-deb", ["-x", file, name], folder)
    return { name, version: decodeURIComponent(file.split("_")[1]!) }
  }))
})

/** A file of an unpacked package. */
export const fileOf = (folder: string, path: string): Effect.Effect<string, AptError> =>
  Effect.tryPromise({ try: () => readFile(join(folder, path), "utf8"), catch: failing(path) })

/** Paths of all files below a folder, relative to it, in order. */
export const filesBelow = (folder: string): Effect.Effect<ReadonlyArray<string>, AptError> =>
  Effect.tryPromise({
    try: async () => (await readdir(folder, { recursive: true })).sort(),
    catch: failing(folder)
  })
