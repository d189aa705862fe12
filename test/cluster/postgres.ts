/** A real PostgreSQL server for a test: a fresh data folder, a free port on 127.0.0.1, gone with the scope. */
import { Effect } from "effect"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readdirSync } from "node:fs"
import { chmod, chown, mkdtemp, rm } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"

const isRoot = process.getuid?.() === 0

/** Debian keeps the server's programs off the path, in a folder for each version. */
const debianFolders = (): ReadonlyArray<string> => {
  const root = "/usr/lib/postgresql"
  return existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)).map((version) => join(root, version, "bin")) : []
}

/** The folder of `postgres` and `initdb`, of the newest version that is installed. */
const postgresPrograms = [...debianFolders(), ...(process.env["PATH"] ?? "").split(delimiter)]
  .find((folder) => existsSync(join(folder, "postgres")) && existsSync(join(folder, "initdb")))

const remedy = "install it (Debian: apt-get install postgresql) to test elf infer --cluster"

/** The server refuses to run as root: then its programs run as the user whom Debian's package made, or nobody. */
const serverUser = (): string => {
  try {
    execFileSync("id", ["postgres"], { stdio: "ignore" })
    return "postgres"
  } catch {
    return "nobody"
  }
}

const start = (program: string, parameters: ReadonlyArray<string>): ChildProcess => {
  if (postgresPrograms === undefined) throw new Error(`PostgreSQL is missing: ${remedy}`)
  const user = isRoot ? { uid: idOf("-u", serverUser()), gid: groupOf(serverUser()) } : {}
  return spawn(join(postgresPrograms, program), parameters, { stdio: ["ignore", "ignore", "pipe"], ...user })
}

const idOf = (flag: "-u" | "-g", user: string): number => Number(execFileSync("id", [flag, user], { encoding: "utf8" }))
const groupOf = (user: string): number => idOf("-g", user)

const own = async (folder: string): Promise<void> => {
  await chmod(folder, 0o700)
  if (isRoot) await chown(folder, idOf("-u", serverUser()), groupOf(serverUser()))
}

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as { readonly port: number }
  server.close()
  return port
}

const finished = async (child: ChildProcess): Promise<void> => {
  let said = ""
  child.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString()))
  const [code] = (await once(child, "close")) as [number | null]
  if (code !== 0) throw new Error(`initdb ended with ${code}: ${said}`)
}

const ready = (child: ChildProcess): Promise<void> =>
  new Promise((resolve, reject) => {
    let said = ""
    child.stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString()
      if (said.includes("ready to accept connections")) resolve()
    })
    child.on("error", reject)
    child.on("close", (code) => reject(new Error(`postgres ended with ${code}: ${said}`)))
  })

/** Stops at once (SIGINT: fast shutdown, SIGQUIT: as if it crashed); SIGQUIT if that takes longer than 5 s. */
const stop = async (child: ChildProcess, signal: "SIGINT" | "SIGQUIT" = "SIGINT"): Promise<void> => {
  if (child.exitCode !== null) return
  const closed = once(child, "close")
  child.kill(signal)
  await Promise.race([closed, sleep(5000).then(() => child.kill("SIGQUIT"))])
  await closed
}

export interface Postgres {
  /** `postgres://elf@127.0.0.1:port/postgres` */
  readonly url: string
  /** Stops the server as a crash would, and starts it again after `millis`. */
  readonly restart: (millis: number) => Promise<void>
  /** Stops the server as a crash would, for good. */
  readonly stop: () => Promise<void>
}

const serve = async (data: string, port: number): Promise<ChildProcess> => {
  const settings = [`port=${port}`, "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "max_connections=60"]
  const child = start("postgres", ["-D", data, ...settings.flatMap((setting) => ["-c", setting])])
  await ready(child)
  return child
}

/** Starts a server; it and its data are gone with the scope. */
export const postgres = Effect.gen(function*() {
  const folder = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const folder = await mkdtemp(join(tmpdir(), "elf-postgres-"))
      await own(folder)
      return folder
    }),
    (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  )
  const data = join(folder, "data")
  yield* Effect.promise(() => finished(start("initdb", ["-D", data, "-U", "elf", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"])))
  const port = yield* Effect.promise(freePort)
  let server: ChildProcess | undefined
  yield* Effect.acquireRelease(
    Effect.promise(async () => {
      server = await serve(data, port)
    }),
    () => Effect.promise(() => stop(server!))
  )
  return {
    url: `postgres://elf@127.0.0.1:${port}/postgres`,
    restart: async (millis) => {
      await stop(server!, "SIGQUIT")
      await sleep(millis)
      server = await serve(data, port)
    },
    stop: () => stop(server!, "SIGQUIT")
  } satisfies Postgres
})

/** Says loudly that a test could not be run, and fails it where it must not be missing. */
export const requirePostgres = (): boolean => {
  if (postgresPrograms !== undefined) return true
  const line = "!".repeat(100)
  process.stderr.write(`\n${line}\n  NOT TESTED: elf infer --cluster. PostgreSQL's programs (postgres, initdb) are missing; ${remedy}.\n${line}\n\n`)
  if (process.env["CI"] !== undefined) throw new Error(`PostgreSQL is missing: ${remedy}`)
  return false
}
