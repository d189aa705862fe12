/** The encoder and vocabulary of a run: from a hub, from a folder, as ONNX; together and where they do not fit. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { existsSync, readFileSync } from "node:fs"
import { cp, mkdir, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { RunConfig } from "../../src/io/index.ts"
import { Encoder } from "../../src/model/Encoder.ts"
import { Tokenizer } from "../../src/model/Tokenizer.ts"
import { encoderLayer, tokenizerLayer } from "../../src/run/encoder.ts"
import { testEngine } from "../support/backend.ts"
import { encoderFolder, expectedOutputs } from "../support/encoders.ts"
import { commit, fakeHub } from "../support/hub.ts"
import { temporaryFolder } from "../support/temporary.ts"
import { assertNear } from "../support/tolerances.ts"
import { elf } from "./process.ts"
import { runFile, tinyFolder, writeRunFile } from "./tinyRun.ts"

/** Sets environment variables, and sets them back with the scope. */
const variables = (values: Record<string, string>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = { ...process.env }
      Object.assign(process.env, values)
      return before
    }),
    (before) => Effect.sync(() => { process.env = before })
  )

const setUp = Effect.gen(function*() {
  const hub = yield* fakeHub({
    "google-t5/t5-small": encoderFolder("t5-v1.0"),
    "owner/sharded": encoderFolder("t5-v1.1"),
    "owner/torch": encoderFolder("t5-v1.1-bin"),
    "owner/onnx": encoderFolder("onnx-bert")
  })
  yield* variables({ HF_ENDPOINT: hub.endpoint, HF_HUB_CACHE: hub.cache, HF_TOKEN: "", HF_HUB_OFFLINE: "" })
  return hub
})

const t5Sizes = { textWidth: 24, vocabulary: 100 }

/** A run file with this encoder and no path of one. */
const runOf = (encoder: object, model: object = t5Sizes) =>
  RunConfig.decode(JSON.parse(JSON.stringify(runFile({ model: { ...model }, encoder: { path: undefined, ...encoder } }))))

const embedOnce = (encoder: object, model?: object, fixture = "t5-v1.0") =>
  Effect.gen(function*() {
    const expected = yield* expectedOutputs(fixture)
    const layer = Layer.provide(encoderLayer(yield* runOf(encoder, model)), testEngine)
    return yield* Effect.provide(Effect.flatMap(Encoder, ({ embed }) => embed(expected.ids())), layer)
  })

const tokensOf = (encoder: object, model?: object) =>
  Effect.flatMap(runOf(encoder, model), (run) => Effect.provide(Tokenizer, tokenizerLayer(run)))

describe("an encoder by name", () => {
  it.live("t5-small is the default, with the vocabulary of its repository; the second time offline", () =>
    Effect.scoped(Effect.gen(function*() {
      const { close } = yield* setUp
      const expected = yield* expectedOutputs("t5-v1.0")
      assertNear("encoder", yield* embedOnce({}), expected.numbers("plain"), "latents")
      const ids = yield* Effect.flatMap(tokensOf({}), ({ encode }) => encode("The state of our union"))
      // The fixture's vocabulary, not the one that ships.
      assert.deepStrictEqual([...ids], [4, 5, 6, 7, 8])
      yield* Effect.promise(close)
      yield* variables({ HF_HUB_OFFLINE: "1" })
      assertNear("encoder", yield* embedOnce({ name: "t5-small" }), expected.numbers("plain"), "latents, offline")
      assertNear("encoder", yield* embedOnce({ name: "google-t5/t5-small", revision: "main" }), expected.numbers("plain"), "latents, by the full name")
    })))

  it.live("shards, PyTorch's file, and ONNX with its vocabulary", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* setUp
      const sharded = yield* expectedOutputs("t5-v1.1")
      for (const name of ["owner/sharded", "owner/torch"]) assertNear("encoder", yield* embedOnce({ name }, t5Sizes, "t5-v1.1"), sharded.numbers("plain"), name)
      const sizes = { textWidth: 24, vocabulary: 80 }
      const bert = yield* expectedOutputs("onnx-bert")
      assertNear("encoder", yield* embedOnce({ kind: "onnx", name: "owner/onnx" }, sizes, "onnx-bert"), bert.numbers("plain"), "owner/onnx")
      const tokenizer = yield* tokensOf({ kind: "onnx", name: "owner/onnx" }, sizes)
      assert.deepInclude(tokenizer, { padId: 0, endOfSequenceId: 3, vocabularySize: 80 })
      assert.strictEqual(yield* tokenizer.decode(yield* tokenizer.encode("state of union")), "state of union")
    })))

  const refusals: ReadonlyArray<readonly [string, object, object, string, RegExp]> = [
    ["a name that is none", { name: "t5-smal" }, t5Sizes, "EncoderError", /no name of an encoder\. Use sotu, t5-small, .* owner\/name/],
    ["weights in other formats only: how to convert", { name: "owner/onnx" }, t5Sizes, "EncoderError", /has no model\.safetensors\. Write model\.safetensors with Python: .*from_pretrained\("owner\/onnx"\)/],
    ["no ONNX file", { kind: "onnx", name: "owner/sharded" }, t5Sizes, "EncoderError", /has no onnx\/model\.onnx\. Export it to ONNX/],
    ["another width", { name: "owner/sharded" }, { textWidth: 8, vocabulary: 100 }, "EncoderError", /latents are 24 wide.*Set model\.textWidth to 24/],
    ["more tokens than the encoder has", { name: "owner/sharded" }, { textWidth: 24 }, "EncoderError", /knows 100 tokens, model\.vocabulary is 32100/],
    ["another width, ONNX", { kind: "onnx", name: "owner/onnx" }, { textWidth: 8, vocabulary: 80 }, "EncoderError", /latents are 24 wide/],
    ["nothing of that name", { name: "owner/none" }, t5Sizes, "HubError", /no such public repository/]
  ]
  it.live.each(refusals)("refused: %s", ([, encoder, model, tag, words]) =>
    Effect.scoped(Effect.gen(function*() {
      yield* setUp
      const error = yield* Effect.flip(embedOnce(encoder, model, "t5-v1.1"))
      assert.strictEqual((error as { readonly _tag: string })._tag, tag)
      assert.match((error as Error).message, words)
    })))
})

describe("a vocabulary follows its encoder", () => {
  const folderWith = (changes: (folder: string) => Promise<unknown>) =>
    Effect.gen(function*() {
      const folder = join(yield* temporaryFolder, "encoder")
      yield* Effect.promise(() => cp(encoderFolder("t5-v1.0"), folder, { recursive: true }).then(() => changes(folder)))
      return folder
    })

  it.effect("the shipped one where an encoder of T5's size has none", () =>
    Effect.scoped(Effect.gen(function*() {
      const path = join(yield* tinyFolder, "encoder")
      const tokenizer = yield* tokensOf({ path }, {})
      assert.strictEqual(tokenizer.vocabularySize, 32_100)
    })))

  it.effect("a cache without network that lacks the vocabulary: the shipped one for a published T5, a refusal for others", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      for (const repository of ["t5-small", "owner--t5"]) {
        const cached = join(folder, "hub", `models--${repository}`)
        yield* Effect.promise(() => cp(join(folder, "encoder"), join(cached, "snapshots", commit), { recursive: true }))
        yield* Effect.promise(() => mkdir(join(cached, "refs")).then(() => writeFile(join(cached, "refs", "main"), commit)))
      }
      yield* variables({ HF_HUB_CACHE: join(folder, "hub"), HF_HUB_OFFLINE: "1", HF_TOKEN: "" })
      assert.strictEqual((yield* tokensOf({ name: "t5-small" }, {})).vocabularySize, 32_100)
      const error = yield* Effect.flip(tokensOf({ name: "owner/t5" }, {}))
      assert.deepInclude(error as object, { _tag: "HubError", reason: "offline", file: "tokenizer.json" })
    })))

  const refusals: ReadonlyArray<readonly [string, (folder: string) => Promise<unknown>, object, RegExp]> = [
    ["no vocabulary, and another size than T5's", (folder) => rm(join(folder, "tokenizer.json")), t5Sizes, /no tokenizer\.json, and its 100 tokens are not T5's/],
    ["more tokens than the network", async () => {}, { textWidth: 24, vocabulary: 90 }, /vocabulary has 100 tokens, model\.vocabulary is 90\. Set model\.vocabulary to 100/],
    ["fewer tokens than the network", async () => {}, { textWidth: 24 }, /knows 100 tokens, model\.vocabulary is 32100\. Set model\.vocabulary to 100/],
    ["of another model", (folder) => cp(encoderFolder("onnx-bert/config.json"), join(folder, "config.json")), t5Sizes, /tokenizer\.json has 100 tokens, its config\.json says 80/]
  ]
  it.effect.each(refusals)("refused: %s", ([, changes, model, words]) =>
    Effect.scoped(Effect.gen(function*() {
      const error = yield* Effect.flip(tokensOf({ path: yield* folderWith(changes) }, model))
      assert.strictEqual((error as { readonly _tag: string })._tag, "EncoderError")
      assert.match((error as Error).message, words)
    })))
})

describe("the command line", () => {
  it.live("trains on an encoder of a hub, and samples and answers with its vocabulary", () =>
    Effect.scoped(Effect.gen(function*() {
      const { cache, close } = yield* setUp
      const folder = yield* tinyFolder
      const run = yield* writeRunFile(folder, "hub.json", { model: t5Sizes, encoder: { path: undefined, name: "owner/sharded" }, optimizer: { steps: 2, warmupSteps: 0 } })
      const trained = yield* Effect.promise(() => elf(["train", run]))
      assert.strictEqual(trained.code, 0, trained.stderr)
      assert.isTrue(existsSync(join(cache, "models--owner--sharded", "refs", "main")))
      const latest = join(folder, "run")
      const checkpoint = JSON.parse(readFileSync(join(latest, "step-00000002", "checkpoint.json"), "utf8")) as { readonly configuration: { readonly encoder: object } }
      assert.deepInclude(checkpoint.configuration.encoder, { name: "owner/sharded" })
      yield* Effect.promise(close)
      const sampled = yield* Effect.promise(() => elf(["sample", "--checkpoint", latest, "--json"]))
      assert.strictEqual(sampled.code, 0, sampled.stderr)
      const { texts } = JSON.parse(sampled.stdout) as { readonly texts: ReadonlyArray<string> }
      assert.strictEqual(texts.length, 2)
      // Every piece of the fixture's vocabulary is made of these.
      for (const text of texts) assert.match(text, /^[a-z ]*$/)
      const answered = yield* Effect.promise(() => elf(["infer", "--checkpoint", latest, "--input", join(folder, "texts.parquet"), "--column", "text", "--output", join(folder, "answers")]))
      assert.strictEqual(answered.code, 0, answered.stderr)
    })))

  it.live("without a network: one sentence, exit code 1", () =>
    Effect.scoped(Effect.gen(function*() {
      const folder = yield* tinyFolder
      yield* variables({ HF_ENDPOINT: "http://127.0.0.1:9", HF_HUB_CACHE: join(folder, "hub"), HF_TOKEN: "" })
      const run = yield* writeRunFile(folder, "default.json", { model: { textWidth: 512 }, encoder: { path: undefined } })
      const { code, stderr } = yield* Effect.promise(() => elf(["train", run]))
      assert.strictEqual(code, 1)
      assert.match(stderr, /error: Cannot fetch config\.json of google-t5\/t5-small \(revision main\): 127\.0\.0\.1:9 cannot be reached/)
    })))
})
