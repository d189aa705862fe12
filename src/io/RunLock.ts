/**
 * One process at a time in a run's folder.
 *
 * The lock is a file that says who holds it: process, host, and since when. It appears by a hard link, which only one of
 * several processes can make. Its owner touches it every few seconds. A lock is stale, and taken over, when its process is
 * gone from this machine, or, on another machine, when it has not been touched for minutes; both times by the file
 * system's own clock.
 *
 * @since 0.1.0
 */
import { Effect, Schedule, Schema, type Scope } from "effect"
import * as fs from "node:fs/promises"
import { join } from "node:path"
import { randomUUID } from "node:crypto"
import { attempt, type DiskError } from "./Disk.ts"
import { isAlive, type ProcessIdentity, thisProcess } from "./processIdentity.ts"

/** Name of the lock in a run's folder. */
const lockName = "run.lock"

const Owner = Schema.fromJsonString(Schema.Struct({
  pid: Schema.Int,
  host: Schema.String,
  started: Schema.NullOr(Schema.String),
  namespace: Schema.NullOr(Schema.String),
  /** Milliseconds since 1970. */
  since: Schema.Number,
  token: Schema.String
}))
type Owner = typeof Owner.Type

/** Another process is at work in this folder, or took this one's lock over. */
export class RunLockedError extends Schema.TaggedError<RunLockedError>()("RunLockedError", {
  folder: Schema.String,
  pid: Schema.Number,
  host: Schema.String,
  /** Seconds since it took the lock. */
  age: Schema.Number,
  /** Seconds since it last showed that it lives. */
  silent: Schema.Number
}) {
  override get message(): string {
    if (this.pid === 0) return `The lock of ${this.folder} is not what this process wrote: another one may be at work there. Stop all but one, delete ${join(this.folder, lockName)}, and go on with --resume.`
    return `Process ${this.pid} on ${this.host} has been at work in ${this.folder} for ${this.age} s (last sign of life ${this.silent} s ago). ` +
      `Wait for it, stop it, or give this run another folder. If it is gone, delete ${join(this.folder, lockName)}.`
  }
}

export interface LockOptions {
  /** Seconds between two signs of life; default 5. */
  readonly touchEvery?: number
  /** Seconds without one after which a lock of another machine is stale; default 600, for a step may take minutes. */
  readonly staleAfter?: number
}

interface Found {
  readonly owner: Owner
  /** By the file system's clock. */
  readonly touched: number
}

const missing = (error: DiskError): boolean => error.code === "ENOENT"
const taken = (error: DiskError): boolean => error.code === "EEXIST"

/** An unreadable lock belongs to nobody known: only its silence makes it stale. */
const nobody: Owner = { pid: 0, host: "an unknown host", started: null, namespace: null, since: 0, token: "" }

const look = (path: string): Effect.Effect<Found | undefined, DiskError> =>
  attempt("read", path, async () => ({ text: await fs.readFile(path, "utf8"), touched: (await fs.stat(path)).mtimeMs })).pipe(
    Effect.flatMap(({ text, touched }) =>
      Effect.map(Effect.orElseSucceed(Schema.decodeUnknownEffect(Owner)(text), () => nobody), (owner) => ({ owner, touched }))),
    Effect.catchIf(missing, () => Effect.succeed(undefined))
  )

const isStale = ({ owner, touched }: Found, here: ProcessIdentity, now: number, staleAfter: number): Effect.Effect<boolean> => {
  const sameMachine = owner.host === here.host && owner.namespace === here.namespace
  return sameMachine ? Effect.map(isAlive(owner), (alive) => !alive) : Effect.succeed((now - touched) / 1000 > staleAfter)
}

const refused = (folder: string, { owner, touched }: Found, now: number): RunLockedError =>
  new RunLockedError({ folder, pid: owner.pid, host: owner.host, age: Math.max(0, Math.round((Date.now() - owner.since) / 1000)), silent: Math.max(0, Math.round((now - touched) / 1000)) })

/** Makes `path` another name of `candidate`, unless there is one. */
const linkTo = (candidate: string, path: string): Effect.Effect<boolean, DiskError> =>
  attempt("create", path, () => fs.link(candidate, path)).pipe(Effect.as(true), Effect.catchIf(taken, () => Effect.succeed(false)))

/** Name of the claim to the lock, or to the claim, of a dead process. */
const heirOf = (folder: string, { token }: Owner): string => join(folder, `${candidatePrefix}${token}.heir`)

/** How staleness is told. */
interface Judged {
  readonly here: ProcessIdentity
  readonly now: number
  readonly staleAfter: number
}

/**
 * Claims what a dead process left. Only one can make a claim, so only one may replace the lock; if it dies before it does,
 * the right is its own heir's. Undefined where the matter was settled meanwhile.
 */
const claim = Effect.fnUntraced(function*(folder: string, candidate: string, stale: Found, { here, now, staleAfter }: Judged) {
  const claims: Array<string> = []
  for (let dead = stale;;) {
    const path = heirOf(folder, dead.owner)
    claims.push(path)
    if (yield* linkTo(candidate, path)) return claims
    const heir = yield* look(path)
    if (heir === undefined) return undefined
    if (!(yield* isStale(heir, here, now, staleAfter))) return yield* refused(folder, heir, now)
    dead = heir
  }
})

const drop = (paths: ReadonlyArray<string>): Effect.Effect<void, DiskError> =>
  Effect.forEach(paths, (path) => attempt("remove", path, () => fs.rm(path, { force: true })), { discard: true })

/** Replaces a stale lock. False where another was quicker: the lock has to be looked at again. */
const inherit = Effect.fnUntraced(function*(folder: string, candidate: string, stale: Found, judged: Judged) {
  const path = join(folder, lockName)
  const claims = yield* claim(folder, candidate, stale, judged)
  if (claims === undefined) return false
  // The claim may be one that another made, used and dropped since: then the lock is no longer the dead one's.
  const current = yield* look(path)
  const own = current?.owner.token === stale.owner.token
  if (own) yield* attempt("replace", path, () => fs.rename(candidate, path))
  yield* drop(own ? claims.toReversed() : claims.slice(-1))
  return own
})

/** Looks at the lock at most so often before it gives up: others may be taking over as well. */
const tries = 50

const take = Effect.fnUntraced(function*(folder: string, candidate: string, here: ProcessIdentity, staleAfter: number) {
  const path = join(folder, lockName)
  const now = (yield* attempt("look at", candidate, () => fs.stat(candidate))).mtimeMs
  for (let left = tries;; left--) {
    if (yield* linkTo(candidate, path)) return
    const found = yield* look(path)
    if (found === undefined) continue
    if (left === 0 || !(yield* isStale(found, here, now, staleAfter))) return yield* refused(folder, found, now)
    if (yield* inherit(folder, candidate, found, { here, now, staleAfter })) return
  }
})

/** Fails where the lock is no longer this process's. */
const stillMine = (folder: string, token: string): Effect.Effect<void, RunLockedError | DiskError> =>
  Effect.flatMap(look(join(folder, lockName)), (found) =>
    found?.owner.token === token ? Effect.void : Effect.fail(refused(folder, found ?? { owner: nobody, touched: Date.now() }, Date.now())))

const release = (folder: string, token: string): Effect.Effect<void> => {
  const path = join(folder, lockName)
  return Effect.ignore(Effect.andThen(stillMine(folder, token), attempt("remove", path, () => fs.rm(path))))
}

const candidatePrefix = `.${lockName}.`

/** What killed processes left of their attempts to take the lock, once nobody can be at it any more. */
const removeLeftovers = (folder: string, seconds: number): Effect.Effect<void> =>
  Effect.ignore(attempt("list", folder, async () => {
    for (const name of await fs.readdir(folder)) {
      const path = join(folder, name)
      if (name.startsWith(candidatePrefix) && Date.now() - (await fs.stat(path)).mtimeMs > seconds * 1000) await fs.rm(path, { force: true })
    }
  }))

const acquire = Effect.fnUntraced(function*(folder: string, staleAfter: number) {
  const here = thisProcess()
  const token = randomUUID()
  const candidate = join(folder, `${candidatePrefix}${token}`)
  const text = JSON.stringify({ ...here, since: Date.now(), token })
  yield* attempt("make the folder", folder, () => fs.mkdir(folder, { recursive: true }))
  yield* attempt("create", candidate, () => fs.writeFile(candidate, text, { flag: "wx" }))
  yield* Effect.ensuring(take(folder, candidate, here, staleAfter), Effect.ignore(attempt("remove", candidate, () => fs.rm(candidate, { force: true }))))
  yield* removeLeftovers(folder, staleAfter)
  return token
})

/** What a holder of a lock can ask. */
export interface RunLock {
  /** Fails where the lock has been taken over: call it before writing what others may be writing too. */
  readonly check: Effect.Effect<void, RunLockedError | DiskError>
}

/**
 * Locks a run's folder, which is made if need be, until the scope closes. Fails at once where another process holds it.
 *
 * **Gotchas** A file system without hard links (some network shares) refuses it; `DiskError` says so.
 */
export const acquireRunLock = (folder: string, options: LockOptions = {}): Effect.Effect<RunLock, RunLockedError | DiskError, Scope.Scope> =>
  Effect.gen(function*() {
    const { staleAfter = 600, touchEvery = 5 } = options
    const token = yield* Effect.acquireRelease(acquire(folder, staleAfter), (token) => release(folder, token))
    const path = join(folder, lockName)
    const touch = attempt("touch", path, async () => { const now = new Date(); await fs.utimes(path, now, now) })
    yield* Effect.forkScoped(Effect.repeat(Effect.ignore(Effect.andThen(stillMine(folder, token), touch)), Schedule.spaced(touchEvery * 1000)))
    return { check: stillMine(folder, token) }
  })
