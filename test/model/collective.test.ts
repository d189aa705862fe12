/** Groups of real processes: what they add up, and what becomes of them when one hangs. */
import { afterEach, assert, describe, it } from "vitest"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { connect, createServer } from "node:net"
import { networkInterfaces } from "node:os"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { freeAddresses } from "../../src/cli/workers.ts"
import { serverDefinition } from "../../src/engine/serverDefinition.mjs"

const member = fileURLToPath(new URL("../support/groupMember.ts", import.meta.url))

let children: Array<ChildProcess> = []
afterEach(() => {
  for (const child of children) child.kill("SIGKILL")
  children = []
})

/** A member, and its lines as they come. */
const startMember = (rank: number, addresses: ReadonlyArray<string>, what: string) => {
  const child = spawn(process.execPath, [member, String(rank), addresses.join(), what], { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: "3" } })
  children.push(child)
  let [stdout, stderr] = ["", ""]
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()))
  const ended = once(child, "close").then(() => {
    const last = stdout.trim().split("\n").at(-1) ?? ""
    assert.isTrue(last.startsWith("{"), `rank ${rank} said ${stdout || "nothing"} and ${stderr}`)
    return JSON.parse(last) as Record<string, unknown>
  })
  const said = async (word: string) => {
    while (!stdout.includes(`"${word}"`)) await Promise.race([once(child.stdout, "data"), ended])
  }
  return { child, ended, said }
}

const startAll = async (count: number, what: string) => {
  const addresses = await Effect.runPromise(freeAddresses(count))
  return { addresses, members: addresses.map((_, rank) => startMember(rank, addresses, what)) }
}

describe("a group of processes", () => {
  it("adds up to the same bits everywhere, takes rank 0's word, and finds who differs", async () => {
    const { members } = await startAll(3, "sums")
    const [first, ...others] = await Promise.all(members.map(({ ended }) => ended))
    for (const other of others) assert.deepStrictEqual(other, first)
    const { alike, floats, json, size, told, unlike, whole } = first!
    assert.deepStrictEqual([size, whole, json, alike], [3, [3, 3 * 2 ** 30 + 3 - 2 ** 32], { text: "Ünïon", list: [1, null] }, "Success"])
    // −0 and NaN keep their bits.
    assert.deepStrictEqual(told, [...new Int32Array(Float32Array.of(-0, 1.5, NaN).buffer)])
    assert.deepInclude(unlike, { _tag: "RanksDifferError", ranks: [2], subject: "their ranks" })
    new Float32Array(Uint8Array.from(Buffer.from(floats as string, "base64")).buffer).forEach((sum, i) =>
      assert.approximately(sum, (i + 1) * (1 / 3 + 1 / 4 + 1 / 5), (i + 1) * 1e-6))
  }, 60_000)

  it("keeps its ports to this machine, and names the process that hangs", async () => {
    const { addresses, members } = await startAll(3, "linger")
    await Promise.all(members.map(({ said }) => said("ready")))
    const port = Number(addresses[0]!.split(":")[1])
    const outside = Object.values(networkInterfaces()).flat().find((each) => each?.family === "IPv4" && !each.internal)?.address
    if (outside === undefined) process.stderr.write("\nNOT TESTED: this machine has no address that others could reach.\n")
    else assert.isFalse(await accepts(outside, port), `${outside}:${port} takes connections`)
    assert.isTrue(await accepts("127.0.0.1", port))
    members[1]!.child.kill("SIGSTOP")
    for (const { ended } of [members[0]!, members[2]!]) {
      const { error, message } = await ended
      assert.deepInclude(error, { _tag: "PeerLostError", rank: 1, address: addresses[1] })
      assert.include(message, `Rank 1 (${addresses[1]}) was lost`)
    }
  }, 60_000)

  it("says which address cannot be served", async () => {
    const [own, other] = await Effect.runPromise(freeAddresses(2))
    const server = createServer().listen(Number(own!.split(":")[1]), "0.0.0.0")
    await once(server, "listening")
    const { error } = await startMember(0, [own!, other!], "sums").ended.finally(() => server.close())
    assert.deepInclude(error, { _tag: "CollectiveUnavailableError" })
    assert.include((error as { readonly why: string }).why, own!)
  }, 60_000)
})

const accepts = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 2000 })
    const done = (answer: boolean) => () => {
      socket.destroy()
      resolve(answer)
    }
    socket.on("connect", done(true)).on("error", done(false)).on("timeout", done(false))
  })

describe("serverDefinition", () => {
  it("is TensorFlow's message", () => {
    const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1")
    const definition = serverDefinition(["a:1", "b:2"], 1)
    // cluster { job { name: "worker" tasks { 0: "a:1" } tasks { 1: "b:2" } } } job_name: "worker" task_index: 1
    assert.include(text(definition), "\x0a\x1c\x0a\x1a\x0a\x06worker\x12\x07\x08\x00\x12\x03a:1\x12\x07\x08\x01\x12\x03b:2\x12\x06worker\x18\x01")
    assert.isTrue(text(definition).endsWith("\x2a\x04grpc"))
  })
})
