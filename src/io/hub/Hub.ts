/**
 * Files of a model hub by name: from the cache that Hugging Face's tools share, else over HTTPS into that cache.
 *
 * The cache comes first: a branch stays at the commit that it was first seen at, so an encoder does not change under a
 * run, and a second run needs no network. Another revision, or an emptied cache, gets newer files.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { statSync } from "node:fs"
import { blobPath, cachedCommit, cachedFile, isCommit, linkFile, rememberAbsent, rememberCommit, repositoryFolder, snapshotFolder } from "./hubCache.ts"
import { download } from "./download.ts"
import { failing, fromDiskError, type HubError, type HubFile } from "./HubError.ts"
import { announce, isAbsentFile } from "./hubRequest.ts"
import { type HubSettings, hubSettings } from "./hubSettings.ts"

export { HubError, type HubFile } from "./HubError.ts"
export { type HubSettings, hubSettings } from "./hubSettings.ts"

/** A repository at one commit. */
export interface Snapshot {
  readonly repository: string
  readonly commit: string
  /** Folder with the files that have been asked for. */
  readonly folder: string
  /** Makes sure that `folder` has a file; undefined where the commit does not have it. */
  readonly file: (path: string) => Effect.Effect<string | undefined, HubError>
}

const isPart = (part: string): boolean => /^[\w.+-]+$/.test(part) && !/^\.+$/.test(part)

/** Whether a name can be that of a repository: `owner/name`, or a `name` of the hub's early days. */
const isRepository = (name: string): boolean => name.split("/").length <= 2 && name.split("/").every(isPart)

const checkNames = (what: HubFile): Effect.Effect<void, HubError> => {
  if (!isRepository(what.repository)) return Effect.fail(failing(what, "badName", "this is no name of a repository", "Give owner/name"))
  if (!what.revision.split("/").every(isPart)) return Effect.fail(failing(what, "badName", "this is no revision", "Give a branch, a tag or a commit"))
  return what.file.split("/").every(isPart) ? Effect.void : Effect.fail(failing(what, "badName", "this is no path inside a repository", "Give a path without . and .."))
}

const offline = (what: HubFile, { cache }: HubSettings): HubError =>
  failing(what, "offline", `it is not in ${cache}, and HF_HUB_OFFLINE forbids the network`, "Fetch it once with the network, or give the encoder's folder as encoder.path")

/** Fetches a file that the cache lacks; where it is in the end, and at which commit. */
const fetched = (settings: HubSettings, what: HubFile): Effect.Effect<{ readonly commit: string; readonly path: string }, HubError> =>
  Effect.gen(function*() {
    if (settings.offline) return yield* offline(what, settings)
    const folder = repositoryFolder(settings.cache, what.repository)
    const announced = yield* announce(settings, what)
    const { commit, etag } = announced
    const blob = blobPath(folder, etag)
    if (statSync(blob, { throwIfNoEntry: false })?.size !== announced.size) yield* download({ settings, file: { ...what, revision: commit }, announced, blob })
    const path = yield* Effect.mapError(linkFile(folder, commit, what.file, blob), fromDiskError(what))
    return { commit, path }
  })

const fileOf = (settings: HubSettings, repository: string, commit: string) => (file: string): Effect.Effect<string | undefined, HubError> => {
  const what = { repository, revision: commit, file }
  const folder = repositoryFolder(settings.cache, repository)
  const fetchOrAbsent = fetched(settings, what).pipe(
    Effect.map(({ path }) => path as string | undefined),
    Effect.catch((error: HubError) =>
      isAbsentFile(error)
        ? Effect.as(Effect.mapError(rememberAbsent(folder, commit, file), fromDiskError(what)), undefined)
        : Effect.fail(error))
  )
  return Effect.andThen(checkNames(what), Effect.suspend(() => {
    const known = cachedFile(folder, commit, file)
    return known === undefined ? fetchOrAbsent : Effect.succeed(known === "absent" ? undefined : known)
  }))
}

const snapshotOf = (settings: HubSettings, repository: string, commit: string): Snapshot => ({
  repository,
  commit,
  folder: snapshotFolder(repositoryFolder(settings.cache, repository), commit),
  file: fileOf(settings, repository, commit)
})

/** A repository in the cache at the commit of `revision`, with `file`. */
const cachedSnapshot = (settings: HubSettings, { file, repository, revision }: HubFile): Effect.Effect<Snapshot | undefined> => {
  const folder = repositoryFolder(settings.cache, repository)
  return Effect.map(cachedCommit(folder, revision), (commit) =>
    commit === undefined || [undefined, "absent"].includes(cachedFile(folder, commit, file)) ? undefined : snapshotOf(settings, repository, commit))
}

/** Asks the hub which commit a revision is, by fetching a file of it. */
const fetchedSnapshot = (settings: HubSettings, what: HubFile): Effect.Effect<Snapshot, HubError> =>
  Effect.gen(function*() {
    const { commit } = yield* fetched(settings, what)
    const folder = repositoryFolder(settings.cache, what.repository)
    if (!isCommit(what.revision)) yield* Effect.mapError(rememberCommit(folder, what.revision, commit), fromDiskError(what))
    return snapshotOf(settings, what.repository, commit)
  })

/** Which repository, and a small file that it must have. */
export interface SnapshotRequest {
  /** `owner/name`, and older names of the same repository under which a cache may hold it. */
  readonly repositories: readonly [string, ...ReadonlyArray<string>]
  /** Branch, tag or commit. */
  readonly revision: string
  readonly file: string
  readonly settings?: HubSettings
}

/** Opens a repository: as the cache has it, else as the hub has it. */
export const snapshot = ({ file, repositories, revision, settings = hubSettings() }: SnapshotRequest): Effect.Effect<Snapshot, HubError> =>
  Effect.gen(function*() {
    const asked = { repository: repositories[0], revision, file }
    yield* checkNames(asked)
    for (const repository of repositories) {
      const found = yield* cachedSnapshot(settings, { ...asked, repository })
      if (found !== undefined) return found
    }
    return yield* fetchedSnapshot(settings, asked)
  })
