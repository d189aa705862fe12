/** Files of a hub: a real HTTP server with the hub's layout and faults, real files, a real kill. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { spawn } from "node:child_process"
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs"
import { mkdir, symlink, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Hub } from "../../src/io/index.ts"
import { encoderFolder } from "../support/encoders.ts"
import { commit, fakeHub } from "../support/hub.ts"

const t5 = "owner/tiny-t5"
const weights = "model.safetensors"
const setUp = fakeHub({ [t5]: encoderFolder("t5-v1.0") })

const opened = (settings: Hub.HubSettings, repository = t5, revision = "main") => Hub.snapshot({ repositories: [repository], revision, file: "config.json", settings })

const fetched = (settings: Hub.HubSettings, file = weights) => Effect.flatMap(opened(settings), (snapshot) => snapshot.file(file))

const blobs = (cache: string): ReadonlyArray<string> => readdirSync(join(cache, "models--owner--tiny-t5", "blobs"))
const partials = (cache: string) => blobs(cache).filter((name) => name.endsWith(".incomplete"))
const original = () => readFileSync(join(encoderFolder("t5-v1.0"), weights))
const assertWhole = (path: string | undefined) => assert.isTrue(readFileSync(path!).equals(original()), "the file is the original")

describe("fetching", () => {
  it.live("writes the cache's layout: refs, snapshots, links to blobs named after their checksums", () =>
    Effect.scoped(Effect.gen(function*() {
      const { asked, cache, close, repositories, settings } = yield* setUp
      const snapshot = yield* opened(settings)
      const path = yield* snapshot.file(weights)
      assertWhole(path)
      const folder = join(cache, "models--owner--tiny-t5")
      assert.strictEqual(readFileSync(join(folder, "refs", "main"), "utf8"), commit)
      assert.strictEqual(path, join(folder, "snapshots", commit, weights))
      assert.isTrue(lstatSync(path!).isSymbolicLink())
      const files = repositories.get(t5)!
      assert.strictEqual(readlinkSync(path!), join("..", "..", "blobs", files.get(weights)!.etag))
      assert.sameMembers([...blobs(cache)], [files.get(weights)!.etag, files.get("config.json")!.etag])
      assert.isUndefined(yield* snapshot.file("spiece.model"), "a file that the repository does not have")
      assert.isTrue(existsSync(join(folder, ".no_exist", commit, "spiece.model")))

      // From here on without a hub: everything is known.
      yield* Effect.promise(close)
      const before = asked.length
      const again = yield* opened(settings)
      assert.strictEqual(yield* again.file(weights), path)
      assert.isUndefined(yield* again.file("spiece.model"))
      assert.strictEqual(asked.length, before)
    })))

  it.live("a revision with slashes, a commit, a repository that was renamed", () =>
    Effect.scoped(Effect.gen(function*() {
      const { cache, renamed, settings } = yield* setUp
      assert.strictEqual((yield* opened(settings, t5, "refs/pr/1")).commit, commit)
      assert.strictEqual(readFileSync(join(cache, "models--owner--tiny-t5", "refs", "refs", "pr", "1"), "utf8"), commit)
      assert.strictEqual((yield* opened(settings, t5, commit)).commit, commit)
      renamed.set("old/name", t5)
      assertWhole(yield* (yield* opened(settings, "old/name")).file(weights))
    })))

  it.live("the token goes to the hub, and not to its storage", () =>
    Effect.scoped(Effect.gen(function*() {
      const { asked, gated, settings } = yield* setUp
      gated.add(t5)
      assertWhole(yield* fetched({ ...settings, token: "good" }))
      const of = (from: "hub" | "storage") => new Set(asked.filter((each) => each.from === from).map(({ authorization }) => authorization))
      assert.deepStrictEqual(of("hub"), new Set(["Bearer good"]))
      assert.deepStrictEqual(of("storage"), new Set([undefined]))
    })))

  it.live("two at once get the same file and leave nothing behind", () =>
    Effect.scoped(Effect.gen(function*() {
      const { cache, settings } = yield* setUp
      const paths = yield* Effect.all([fetched(settings), fetched(settings), fetched(settings)], { concurrency: 3 })
      paths.forEach(assertWhole)
      assert.deepStrictEqual(partials(cache), [])
    })))
})

describe("what breaks on the way", () => {
  it.live("a cut connection: goes on where it broke, also when the hub is too busy for a moment", () =>
    Effect.scoped(Effect.gen(function*() {
      const { asked, faults, settings } = yield* setUp
      yield* opened(settings)
      faults.cuts.push(30_000, 20_000)
      faults.statuses.push(200, 503)
      assertWhole(yield* fetched(settings))
      const ranges = asked.filter(({ from }) => from === "storage").map(({ range }) => range)
      assert.deepStrictEqual(ranges, [undefined, "bytes=30000-", "bytes=50000-"])
    })))

  it.live("a storage that does not do parts: from the beginning", () =>
    Effect.scoped(Effect.gen(function*() {
      const { faults, settings } = yield* setUp
      yield* opened(settings)
      faults.cuts.push(30_000)
      faults.ignoresRange = true
      assertWhole(yield* fetched(settings))
    })))

  it.live("other bytes than announced are thrown away", () =>
    Effect.scoped(Effect.gen(function*() {
      const { cache, faults, settings } = yield* setUp
      yield* opened(settings)
      faults.corrupts = true
      const error = yield* Effect.flip(fetched(settings))
      assert.deepInclude(error, { _tag: "HubError", reason: "corrupt", file: weights })
      assert.match(error.message, /checksum [0-9a-f]{64}, announced was [0-9a-f]{64}/)
      assert.deepStrictEqual(partials(cache), [])
      faults.corrupts = false
      assertWhole(yield* fetched(settings))
    })))

  it.live("interrupted: nothing under the file's name, and the next one goes on", () =>
    Effect.scoped(Effect.gen(function*() {
      const { asked, cache, faults, settings } = yield* setUp
      const snapshot = yield* opened(settings)
      faults.slow = true
      const fiber = yield* Effect.forkChild(snapshot.file(weights))
      yield* Effect.sleep("500 millis")
      yield* Fiber.interrupt(fiber)
      assert.isFalse(existsSync(join(snapshot.folder, weights)))
      assert.strictEqual(partials(cache).length, 1)
      faults.slow = false
      assertWhole(yield* fetched(settings))
      assert.match(asked.at(-1)!.range ?? "", /^bytes=[1-9]\d+-$/)
      assert.deepStrictEqual(partials(cache), [])
    })))

  it.live("killed: the same, from another process", () =>
    Effect.scoped(Effect.gen(function*() {
      const { asked, cache, faults, settings } = yield* setUp
      yield* opened(settings)
      faults.slow = true
      const hub = fileURLToPath(new URL("../../src/io/hub/Hub.ts", import.meta.url))
      const program = `import * as Hub from ${JSON.stringify(hub)}; import { Effect } from "effect"
        Effect.runPromise(Effect.flatMap(Hub.snapshot({ repositories: [${JSON.stringify(t5)}], revision: "main", file: "config.json", settings: ${JSON.stringify(settings)} }), (s) => s.file("${weights}")))`
      const child = spawn(process.execPath, ["--input-type=module", "-e", program], { cwd: fileURLToPath(new URL("../..", import.meta.url)), stdio: "inherit" })
      const half = () => partials(cache).some((name) => lstatSync(join(cache, "models--owner--tiny-t5", "blobs", name)).size > 8192)
      for (let i = 0; i < 200 && !half(); i++) yield* Effect.sleep("50 millis")
      assert.isTrue(half(), "the child has begun")
      yield* Effect.promise(() => new Promise((resolve) => { child.on("exit", resolve); child.kill("SIGKILL") }))
      faults.slow = false
      assertWhole(yield* fetched(settings))
      assert.match(asked.at(-1)!.range ?? "", /^bytes=[1-9]\d+-$/)
      assert.deepStrictEqual(partials(cache), [])
    })))
})

const refusals: ReadonlyArray<readonly [string, (hub: Effect.Success<typeof setUp>) => Effect.Effect<unknown, Hub.HubError>, Partial<Hub.HubError>, RegExp]> = [
  ["no such repository, no token", ({ settings }) => opened(settings, "owner/nothing"), { reason: "denied", status: 401 }, /no such public repository\. Check the name.*HF_TOKEN/],
  ["no such repository, with a token", ({ settings }) => opened({ ...settings, token: "good" }, "owner/nothing"), { reason: "notFound", status: 404 }, /no such repository/],
  ["no such revision", ({ settings }) => opened(settings, t5, "v9"), { reason: "notFound" }, /no such revision.*encoder\.revision/],
  ["a gated repository", ({ gated, settings }) => { gated.add(t5); return opened(settings) }, { reason: "denied", status: 403 }, /not on the list.*Ask for access at .*owner\/tiny-t5/],
  ["a host that is no hub", ({ faults, settings }) => { faults.noHub = true; return opened(settings) }, { reason: "badAnswer" }, /Check HF_ENDPOINT/],
  ["a hub that is down", ({ faults, settings }) => { faults.statuses.push(503); return opened(settings) }, { reason: "network", status: 503 }, /answered 503\. Try again later/],
  ["no network", ({ settings }) => opened({ ...settings, endpoint: "http://127.0.0.1:9" }), { reason: "network" }, /cannot be reached \(.+\)\. Check the network.*HF_ENDPOINT.*encoder\.path/],
  ["no network allowed", ({ settings }) => opened({ ...settings, offline: true }), { reason: "offline" }, /HF_HUB_OFFLINE forbids the network\. Fetch it once/],
  ["a path out of the cache", ({ settings }) => opened(settings, "../../etc"), { reason: "badName" }, /owner\/name/],
  ["a revision out of the cache", ({ settings }) => opened(settings, t5, "../../x"), { reason: "badName" }, /branch/],
  ["a file out of the cache", ({ settings }) => Effect.flatMap(opened(settings), ({ file }) => file("../../../x")), { reason: "badName" }, /without \. and \.\./]
]

describe("refusals say what to do", () => {
  it.live.each(refusals)("%s", ([, run, expected, words]) =>
    Effect.scoped(Effect.gen(function*() {
      const hub = yield* setUp
      const error = yield* Effect.flip(run(hub))
      assert.deepInclude(error, { _tag: "HubError", ...expected } as object)
      assert.match(error.message, words)
    })))

  it.live("a disk that cannot be written", () =>
    Effect.scoped(Effect.gen(function*() {
      const { cache, settings } = yield* setUp
      yield* Effect.promise(() => writeFile(join(cache, "models--owner--tiny-t5"), "in the way"))
      const error = yield* Effect.flip(opened(settings))
      assert.deepInclude(error, { reason: "disk" })
    })))
})

describe("a cache that other tools filled", () => {
  it.live("is used without a network, also under the repository's older name", () =>
    Effect.scoped(Effect.gen(function*() {
      const { cache } = yield* setUp
      // As `from_pretrained("t5-small")` of Python leaves it.
      const folder = join(cache, "models--t5-small")
      yield* Effect.promise(async () => {
        await mkdir(join(folder, "snapshots", commit), { recursive: true })
        await mkdir(join(folder, "refs"))
        await writeFile(join(folder, "refs", "main"), commit)
        await symlink(join(encoderFolder("t5-v1.0"), "config.json"), join(folder, "snapshots", commit, "config.json"))
        await symlink(join(folder, "blobs", "gone"), join(folder, "snapshots", commit, weights))
      })
      const settings: Hub.HubSettings = { endpoint: "http://127.0.0.1:9", token: undefined, offline: true, cache }
      const snapshot = yield* Hub.snapshot({ repositories: ["google-t5/t5-small", "t5-small"], revision: "main", file: "config.json", settings })
      assert.strictEqual(snapshot.repository, "t5-small")
      const exit = yield* Effect.exit(snapshot.file(weights))
      assert.isTrue(Exit.isFailure(exit), "a link whose blob is gone is no file")
    })))
})

describe("settings", () => {
  const of = (variables: Record<string, string>) => Hub.hubSettings({ HOME: "/home/me", ...variables })

  it("are those of Hugging Face's tools", () => {
    assert.deepInclude(of({}), { endpoint: "https://huggingface.co", offline: false, token: undefined })
    assert.strictEqual(of({ HF_HOME: "/data/hf" }).cache, join("/data/hf", "hub"))
    assert.strictEqual(of({ HF_HOME: "/data/hf", HF_HUB_CACHE: "/data/cache" }).cache, "/data/cache")
    assert.strictEqual(of({ XDG_CACHE_HOME: "/caches" }).cache, join("/caches", "huggingface", "hub"))
    assert.isTrue(of({}).cache.endsWith(join(".cache", "huggingface", "hub")))
    assert.deepInclude(of({ HF_ENDPOINT: "https://mirror.example/", HF_TOKEN: " t ", HF_HUB_OFFLINE: "1" }), { endpoint: "https://mirror.example", token: "t", offline: true })
  })
})
