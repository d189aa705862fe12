/**
 * The further processes of a training run on one machine: each is this very command, told which rank it is.
 *
 * Notable: they hold no file and no lock, so they may be killed at any moment; and they end with their parent, also when that
 * is killed, because their standard input closes.
 */
import { Deferred, Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createServer, type Server } from "node:net"
import { createInterface } from "node:readline"
import { PeerLostError } from "../model/Collective.ts"
import { WorkerError } from "./errors.ts"

/** Set in the environment of the processes that were started here. */
const workerMark = "ELF_STREAMS_WORKER"

/** The exit code of a command that was interrupted. */
const interruptedCode = 130

const listen = async (): Promise<Server> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  return server
}

/** `count` addresses on this machine that nobody uses. */
export const freeAddresses = (count: number): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () => {
    // All are open at once, so that no port is given twice.
    const servers = await Promise.all(Array.from({ length: count }, listen))
    const addresses = servers.map((server) => server.address()).map((address) => `127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`)
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
    return addresses
  })

/** Options that are for the process that was called alone. */
const withoutOwn = (options: ReadonlyArray<string>): ReadonlyArray<string> =>
  options.filter((option, i) => !/^--(workers(=.*)?|json|resume|accept-changes)$/.test(option) && options[i - 1] !== "--workers")

const start = (addresses: ReadonlyArray<string>, rank: number): ChildProcess => {
  const group = ["--cluster", addresses.join(","), "--rank", String(rank)]
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1, 2), ...withoutOwn(process.argv.slice(2)), ...group], {
    env: { ...process.env, [workerMark]: "1" },
    stdio: ["pipe", "ignore", "pipe"],
    // Ctrl-C on a terminal goes to this process alone, which ends the run for all.
    detached: true
  })
  createInterface({ input: child.stderr! }).on("line", (line) => process.stderr.write(`[rank ${rank}] ${line}\n`))
  return child
}

const endOf = (child: ChildProcess): Promise<void> =>
  child.exitCode !== null || child.signalCode !== null ? Promise.resolve() : once(child, "exit").then(() => {})

/** How long the others may take to end when this process has ended its part, in milliseconds. */
const endsWithin = 10_000

/** Ranks 1 and up. */
export interface Workers {
  /** Fails as soon as one of them ends otherwise than it should. */
  readonly failure: Effect.Effect<never, WorkerError>
  /** Says of a lost rank how its process ended, where that is known. */
  readonly explain: (error: PeerLostError) => PeerLostError
  /** Waits until all have ended. */
  readonly ended: Effect.Effect<void>
}

/** Starts ranks 1 and up of the processes at `addresses`. When the scope closes none is left. */
export const startWorkers = Effect.fnUntraced(function*(addresses: ReadonlyArray<string>): Effect.fn.Return<Workers, never, Scope.Scope> {
  const failed = yield* Deferred.make<never, WorkerError>()
  const endings = new Map<number, string>()
  const watch = (child: ChildProcess, rank: number): ChildProcess => {
    const fail = (how: string) => {
      endings.set(rank, how)
      Deferred.doneUnsafe(failed, Effect.fail(new WorkerError({ rank, pid: child.pid ?? 0, how })))
    }
    child.on("error", ({ message }) => fail(`could not be started: ${message}`))
    child.on("exit", (code, signal) => {
      if (code !== 0 && code !== interruptedCode) fail(signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`)
    })
    return child
  }
  const children = yield* Effect.acquireRelease(
    Effect.sync(() => addresses.slice(1).map((_, i) => watch(start(addresses, i + 1), i + 1))),
    (children) => Effect.promise(() => {
      for (const child of children) child.kill("SIGKILL")
      return Promise.all(children.map(endOf))
    })
  )
  return {
    failure: Deferred.await(failed),
    explain: (error) => new PeerLostError({ ...error, detail: endings.get(error.rank) ?? error.detail }),
    ended: Effect.promise(() => Promise.all(children.map(endOf))).pipe(Effect.timeoutOption(endsWithin), Effect.asVoid)
  }
})

/** Interrupts `program` in a process that was started here, when its parent is gone. */
export const endingWithParent = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  if (process.env[workerMark] !== "1") return program
  const parentGone = Effect.callback<void>((resume) => {
    const gone = () => resume(Effect.void)
    process.stdin.on("close", gone).on("error", gone).resume()
    return Effect.sync(() => void process.stdin.destroy())
  })
  return Effect.raceFirst(program, Effect.andThen(parentGone, Effect.interrupt))
}
