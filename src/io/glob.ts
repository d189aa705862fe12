/**
 * Finding input files: a path, a folder, or a pattern with `*`, `**`, `?`, `[a-z]` and `{a,b}`, on disk or in a store.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { join } from "node:path"
import { attempt, type DiskError } from "./Disk.ts"
import { isHttp } from "./source/openSource.ts"
import { Remote } from "./source/Remote.ts"
import { isS3, listKeys, parseS3 } from "./source/s3.ts"
import type { SourceError } from "./source/SourceError.ts"

const isPattern = (part: string) => /[*?[\]{}]/.test(part)

// Spark and friends keep their bookkeeping in `_SUCCESS`, `_temporary`, `.part.crc`: never data.
const isHidden = (name: string) => name.startsWith(".") || name.startsWith("_")

/** Splits `{a,b}` alternatives into plain patterns; nested braces are split from the inside out. */
const expandBraces = (pattern: string): ReadonlyArray<string> => {
  const match = /\{([^{}]*)\}/.exec(pattern)
  if (match === null) return [pattern]
  const [before, after] = [pattern.slice(0, match.index), pattern.slice(match.index + match[0].length)]
  return match[1]!.split(",").flatMap((choice) => expandBraces(before + choice + after))
}

const escapeRegExp = (text: string) => text.replace(/[.+^$()|\\{}]/g, "\\$&")

/** The regular expression of one path segment: `*`, `?` and `[a-z]` (`[!a-z]`) never cross a folder. */
const segmentRegExp = (segment: string): RegExp => {
  const body = segment.split(/(\*+|\?|\[[!^]?[^\]]+\])/).map((part) =>
    part.startsWith("*") ? "[^/]*"
    : part === "?" ? "[^/]"
    : /^\[.+\]$/.test(part) ? part.replace(/^\[!/, "[^")
    : escapeRegExp(part).replace(/[[\]]/g, "\\$&")
  )
  return new RegExp(`^${body.join("")}$`, "u")
}

const listSorted = (folder: string) =>
  Effect.map(
    attempt("list", folder === "" ? "." : folder, (disk) => disk.list(folder === "" ? "." : folder)),
    (entries) => [...entries].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
  )

const within = (folder: string, name: string) => folder === "" ? name : join(folder, name)

/** All files below `folder` whose name ends in `suffix`, sorted, without hidden ones. */
const filesBelow = (folder: string, suffix: string): Effect.Effect<ReadonlyArray<string>, DiskError> =>
  Effect.gen(function*() {
    const found: Array<string> = []
    for (const entry of yield* listSorted(folder)) {
      if (isHidden(entry.name)) continue
      if (entry.kind === "folder") found.push(...(yield* filesBelow(within(folder, entry.name), suffix)))
      else if (entry.kind === "file" && entry.name.endsWith(suffix)) found.push(within(folder, entry.name))
    }
    return found
  })

const walk = (folder: string, segments: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>, DiskError> =>
  Effect.gen(function*() {
    const [segment, ...rest] = segments
    if (segment === undefined) return []
    if (!isPattern(segment)) {
      const path = within(folder, segment)
      const kind = yield* attempt("look at", path, (disk) => disk.kind(path))
      if (rest.length === 0) return kind === "file" ? [path] : []
      return kind === "folder" ? yield* walk(path, rest) : []
    }
    const found: Array<string> = segment === "**" ? [...(yield* walk(folder, rest.length === 0 ? ["*"] : rest))] : []
    const matches = segmentRegExp(segment)
    for (const entry of yield* listSorted(folder)) {
      const path = within(folder, entry.name)
      if (entry.name.startsWith(".") && !segment.startsWith(".")) continue
      if (segment === "**") {
        if (entry.kind === "folder") found.push(...(yield* walk(path, segments)))
      } else if (matches.test(entry.name)) {
        if (rest.length > 0 && entry.kind === "folder") found.push(...(yield* walk(path, rest)))
        else if (rest.length === 0 && entry.kind === "file") found.push(path)
      }
    }
    return found
  })

const expandOne = (pattern: string) => {
  const rooted = pattern.startsWith("/")
  return walk(rooted ? "/" : "", pattern.split("/").filter((part) => part !== ""))
}

/** The regular expression of a whole key; `**` stands for any folders, none too. */
const keyRegExp = (pattern: string): RegExp => {
  const segments = pattern.split("/")
  const body = segments.map((segment, i) => {
    const isLast = i === segments.length - 1
    if (segment === "**") return isLast ? ".+" : "(?:[^/]+/)*"
    return segmentRegExp(segment).source.slice(1, -1) + (isLast ? "" : "/")
  })
  return new RegExp(`^${body.join("")}$`, "u")
}

const literalPrefix = (pattern: string): string => /^[^*?[\]{}]*/.exec(pattern)![0]

const keysOf = (path: string, bucket: string, prefix: string) =>
  Effect.flatMap(Remote, (remote) => listKeys(path, { bucket, key: prefix }, remote))

const below = (key: string, folder: string, suffix: string): boolean =>
  key.startsWith(folder) && key.endsWith(suffix) && !key.slice(folder.length).split("/").some(isHidden)

/** The objects that an `s3://` address names: a key, all below a prefix, or those that a pattern fits. */
const expandS3 = (pattern: string, suffix: string): Effect.Effect<ReadonlyArray<string>, SourceError> =>
  Effect.gen(function*() {
    const { bucket, key } = parseS3(pattern)
    const listed = yield* keysOf(pattern, bucket, literalPrefix(key))
    const addresses = (keys: ReadonlyArray<string>) => keys.map((found) => `s3://${bucket}/${found}`)
    if (listed.includes(key)) return [pattern]
    const folder = key === "" || key.endsWith("/") ? key : `${key}/`
    if (!isPattern(key)) return addresses(listed.filter((found) => below(found, folder, suffix)))
    const fits = expandBraces(key).map(keyRegExp)
    return addresses(listed.filter((found) => !found.endsWith("/") && fits.some((one) => one.test(found))))
  })

/**
 * The files that one path, folder or pattern names, sorted by path, each once.
 *
 * A path that exists is taken literally, even if it contains `[` or `*`; a folder, or a prefix of a store, means every
 * `suffix` file below it. An `http(s)` URL names one file: web servers have no listing.
 */
export const expand = (pattern: string, suffix: string): Effect.Effect<ReadonlyArray<string>, DiskError | SourceError> => {
  if (isHttp(pattern)) return Effect.succeed([pattern])
  return isS3(pattern) ? expandS3(pattern, suffix) : expandDisk(pattern, suffix)
}

const expandDisk = (pattern: string, suffix: string): Effect.Effect<ReadonlyArray<string>, DiskError> =>
  Effect.gen(function*() {
    const kind = yield* attempt("look at", pattern, (disk) => disk.kind(pattern))
    if (kind === "file" || kind === "other") return [pattern]
    if (kind === "folder") return yield* filesBelow(pattern, suffix)
    if (!isPattern(pattern)) return []
    const found = yield* Effect.forEach(expandBraces(pattern), expandOne)
    return [...new Set(found.flat())].sort()
  })
