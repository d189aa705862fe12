/** Hostile PyTorch files: none executes anything, all are refused by a typed error, and no change of a byte goes unseen. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { createHash } from "node:crypto"
import { existsSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as TorchCheckpoint from "../../src/io/torch/TorchCheckpoint.ts"
import { failing, TorchFileError } from "../../src/io/torch/TorchFileError.ts"
import type { TorchTensor } from "../../src/io/torch/pickleValues.ts"
import { unpickle } from "../../src/io/torch/unpickle.ts"
import { ckptPath } from "./ckptCases.ts"
import { numbers, onDisk } from "./support.ts"
import { archive, call, dictOf, diskOf, floats, mutated, op, pickle, tensor, tupleOf, zip } from "./torchFiles.ts"
import { refusal, withFile } from "./torchRefusal.ts"

const readOne = (bytes: Uint8Array) => withFile(bytes, (file) => file.read(file.value as TorchTensor, "it"))

const canary = join(tmpdir(), `elf-canary-${process.pid}`)
const touch = op.text(`touch ${canary}`)
const deep = (depth: number) => Buffer.concat([...Array.from({ length: depth }, () => op.mark), ...Array.from({ length: depth }, () => op.tuple)])
const plan = { key: "0", elements: 2, shape: [2], strides: [1] }
const byStack = (module: string, name: string) => Buffer.concat([op.shortText(module), op.shortText(name), op.stackGlobal])

const hostilePickles: ReadonlyArray<readonly [string, Buffer, RegExp, string?]> = [
  ["os.system by REDUCE", pickle(call("os", "system", touch)), /os\.system/, "os.system"],
  ["posix.system by REDUCE", pickle(call("posix", "system", touch)), /posix\.system/, "posix.system"],
  ["builtins.eval", pickle(call("builtins", "eval", op.text("__import__('os').system('id')"))), /builtins\.eval/, "builtins.eval"],
  ["__builtin__.exec", pickle(call("__builtin__", "exec", touch)), /__builtin__\.exec/],
  ["subprocess.Popen", pickle(call("subprocess", "Popen", touch)), /subprocess\.Popen/],
  ["a nested global by GLOBAL", pickle(op.global("torch", "storage.os.system")), /torch\.storage\.os\.system/, "torch.storage.os.system"],
  ["a nested global by STACK_GLOBAL", pickle(byStack("torch._utils", "os.system"), 4), /torch\._utils\.os\.system/, "torch._utils.os.system"],
  ["a global of the same spelling, cut elsewhere", pickle(byStack("torch", "_utils._rebuild_tensor_v3"), 4), /_rebuild_tensor_v3/],
  ["a global whose name is no text", pickle([op.int(1), op.shortText("system"), op.stackGlobal], 4), /no short text/],
  ["a global hidden under an allowed dict", pickle(dictOf({ params: dictOf({ w: call("nt", "system", touch) }) })), /nt\.system/],
  ["torch.load again", pickle(call("torch.serialization", "load", touch)), /torch\.serialization\.load/],
  ["getattr", pickle(call("builtins", "getattr", op.global("torch", "Size"), op.text("__class__"))), /builtins\.getattr/],
  ["a storage class that is called", pickle(call("torch", "FloatStorage", op.int(1 << 30))), /calls torch\.FloatStorage/, "torch.FloatStorage"],
  ["a text that is called", pickle([op.text("os.system"), op.unit, op.reduce]), /no listed function/],
  ["NEWOBJ", pickle([op.global("torch", "Size"), op.unit, op.newObject]), /opcode 0x81/],
  ["NEWOBJ_EX", pickle([op.global("torch", "Size"), op.unit, op.dict, Buffer.of(0x92)], 4), /opcode 0x92/],
  ["INST", pickle([op.mark, Buffer.from("ios\nsystem\n")]), /opcode 0x69/],
  ["OBJ", pickle([op.mark, op.global("torch", "Size"), Buffer.from("o")]), /opcode 0x6f/],
  ["EXT1", pickle([Buffer.of(0x82, 1)]), /opcode 0x82/],
  ["EXT2", pickle([Buffer.of(0x83, 1, 0)]), /opcode 0x83/],
  ["EXT4", pickle([Buffer.of(0x84, 1, 0, 0, 0)]), /opcode 0x84/],
  ["a text persistent id", pickle([Buffer.from("Pstorage\n")]), /opcode 0x50/],
  ["a persistent id of something else", pickle([tupleOf(op.text("module"), op.text("os")), op.persistent]), /names no storage/],
  ["BUILD with __setstate__", pickle([call("collections", "OrderedDict"), dictOf({ __setstate__: op.global("torch", "Size") }), op.build]), /BUILD/],
  ["BUILD on a plain dict", pickle([op.dict, dictOf({ _metadata: op.dict }), op.build]), /BUILD/],
  ["BUILD on a tensor", pickle([tensor(plan), dictOf({ _metadata: op.dict }), op.build]), /BUILD/],
  ["OrderedDict with arguments", pickle(call("collections", "OrderedDict", op.list)), /not built empty/],
  ["backward hooks", pickle(call("torch._utils", "_rebuild_parameter", tensor(plan), op.yes, dictOf({ 0: op.none }))), /parameter is not made/],
  ["a tensor beyond its storage", pickle(tensor({ ...plan, offset: 1 })), /beyond the 2 elements/],
  ["a tensor of negative strides", pickle(tensor({ ...plan, strides: [-1] })), /strides/],
  ["a tensor that repeats one number", pickle(tensor({ ...plan, shape: [1 << 30, 1 << 20], strides: [0, 0] })), /repeats the 2/],
  ["a tensor of absurd sizes", pickle(tensor({ ...plan, shape: Array.from({ length: 16 }, () => 0x7fffffff), strides: Array.from({ length: 16 }, () => 1) })), /beyond/],
  ["nesting of marks", pickle(deep(5_000)), /nests deeper/],
  ["a stack that only grows", pickle(Buffer.alloc(200_000, "N")), /values at once/],
  ["a memo of millions", Buffer.concat([op.proto(4), op.none, Buffer.alloc(1_200_000, 0x94)]), /remembers more/],
  ["a text longer than the file", Buffer.concat([op.proto(), Buffer.of(0x58, 0xff, 0xff, 0xff, 0xff), Buffer.from("x")]), /cut short/],
  ["a text of 2^64 bytes", Buffer.concat([op.proto(4), Buffer.of(0x8d), Buffer.alloc(8, 0xff)]), /cut short/],
  ["a frame of 2^63 bytes", Buffer.concat([op.proto(4), op.frame(1n << 63n), op.none, op.stop]), /cut short/],
  ["a number of 200 bytes", Buffer.concat([op.proto(), Buffer.of(0x8a, 200), Buffer.alloc(200, 1), op.stop]), /number of 200 bytes/],
  ["bytes and buffers", pickle([Buffer.from("C\u0001x")]), /opcode 0x43/],
  ["a value that was never remembered", pickle(op.get(9)), /recalls value 9/],
  ["an empty stack", pickle(op.append), /not there/],
  ["no value", pickle([]), /0 values/],
  ["something behind the end", Buffer.concat([pickle(op.none), op.global("os", "system")]), /behind its end/],
  ["protocol 0", Buffer.from("cos\nsystem\n(S'id'\ntR."), /does not begin with its protocol/],
  ["protocol 9", pickle(op.none, 9), /protocol 9/],
  ["broken text", pickle([Buffer.of(0x8c, 1, 0xff)], 4), /encoded data/],
  ["a dict as a key", pickle([op.dict, op.dict, op.none, op.setItem]), /neither text nor a whole number/]
]

const record = { name: "a/data.pkl", data: pickle(op.none) }
const zeros = Buffer.alloc(1 << 24)
const hostileArchives: ReadonlyArray<readonly [string, Buffer, RegExp]> = [
  ["a path that climbs", zip([record, { name: "a/../../etc/cron.d/x", data: Buffer.from("x") }]), /leads out of the archive/],
  ["an absolute path", zip([record, { name: "/etc/passwd", data: Buffer.from("x") }]), /leads out/],
  ["a path of another system", zip([record, { name: "a\\..\\b", data: Buffer.from("x") }]), /leads out/],
  ["a drive", zip([record, { name: "C:/x", data: Buffer.from("x") }]), /leads out/],
  ["a name twice", zip([record, { name: "a/data.pkl", data: pickle(call("os", "system", touch)) }]), /twice/],
  ["records over each other", zip([record, { name: "a/data/0", data: floats(1, 2) }, { name: "a/data/1", data: floats(1), claim: { packed: 5_000, size: 5_000 } }]), /overlaps/],
  ["two records in one place", zip([record, { name: "a/data/0", data: floats(1, 2), localName: "a/data/1" }]), /own header says something else/],
  ["a record over another", zip([record, { name: "a/data/0", data: floats(1, 2), claim: { packed: 60, size: 60 } }, { name: "a/data/1", data: floats(3) }]), /overlaps the record "a\/data\/1"/],
  ["a bomb", zip([{ ...record, data: Buffer.concat([zeros, zeros]), deflate: true }]), /unpacks to 33554432 bytes/],
  ["a bomb that claims to be small", zip([{ ...record, data: zeros, deflate: true, claim: { size: 100 } }]), /cannot be unpacked to the 100 bytes/],
  ["a record of 4 GB in a small file", zip([{ ...record, claim: { size: 0xfffffff0, packed: 0xfffffff0 } }]), /overlaps/],
  ["a record of 2^60 bytes", zip([{ ...record, claim: { size: 2 ** 52, packed: 2 ** 52 } }], { zip64: true }), /overlaps/],
  ["a header beyond the end", zip([{ ...record, claim: { header: 1_000_000 } }]), /lies outside the file/],
  ["encryption", zip([{ ...record, claim: { flags: 1 } }]), /encrypted/],
  ["an unknown method", zip([{ ...record, claim: { method: 12 } }]), /method 12/],
  ["a wrong checksum", zip([{ ...record, claim: { crc: 1 } }]), /CRC-32 differs/],
  ["no pickle", zip([{ name: "a/other", data: Buffer.from("x") }]), /0 records data\.pkl/],
  ["two pickles", zip([record, { name: "b/data.pkl", data: record.data }]), /2 records data\.pkl/],
  ["big-endian numbers", zip([record, { name: "a/byteorder", data: Buffer.from("big") }]), /byte order/],
  ["a truncated archive", zip([record]).subarray(0, 60), /cut short/],
  ["nothing", Buffer.alloc(0), /cut short/]
]

describe("hostile files", () => {
  it.effect.each(hostilePickles)("%s", ([, bytes, message, global]) =>
    Effect.gen(function*() {
      const error = yield* refusal(archive(bytes, { 0: floats(1, 2) }))
      assert.match(error.message, message)
      assert.include(error.message, "hostile.pt (data.pkl")
      if (!/does not begin/.test(error.message)) assert.isNumber(error.position)
      if (global !== undefined) assert.strictEqual(error.global, global)
      assert.isFalse(existsSync(canary))
    }))

  it.effect.each(hostileArchives)("an archive with %s", ([, bytes, message]) =>
    Effect.gen(function*() {
      assert.match((yield* refusal(bytes)).message, message)
    }))

  it.effect("tensors whose storage is missing, of another size, or compressed", () =>
    Effect.gen(function*() {
      const read = (storages: Record<string, Buffer>, more = {}) => Effect.flip(readOne(archive(pickle(tensor(plan)), storages, Object.values(more))))
      assert.match((yield* read({})).message, /no storage "0"/)
      assert.match((yield* read({ 0: floats(1) })).message, /has 4 bytes, not 2 elements/)
      assert.match((yield* read({}, { x: { name: "checkpoint/data/0", data: floats(1, 2), deflate: true } })).message, /compressed/)
      assert.match((yield* read({}, { x: { name: "checkpoint/data/0", data: floats(1, 2), claim: { crc: 7 } } })).message, /CRC-32/)
    }))

  it.effect("thousands of views of one storage are not read as thousands of tensors", () =>
    Effect.gen(function*() {
      const names = Array.from({ length: 400 }, (_, i) => `w${i}`)
      const bytes = archive(pickle(dictOf({ params: dictOf(Object.fromEntries(names.map((name) => [name, tensor({ key: "0", elements: 4096, shape: [4096], strides: [1] })]))) })), { 0: floats(...new Float32Array(4096)) })
      const error = yield* Effect.flip(Effect.scoped(TorchCheckpoint.open("hostile.pt")).pipe(onDisk(diskOf(bytes))))
      assert.match(error.message, /the tensors of params take 6553600 bytes/)
    }))

  it.effect("no checkpoint: each is told what it holds", () =>
    Effect.gen(function*() {
      const open = (data: Buffer) => Effect.map(Effect.flip(Effect.scoped(TorchCheckpoint.open("x.pt")).pipe(onDisk(diskOf(archive(pickle(data)))))), ({ message }) => message)
      assert.match(yield* open(op.list), /holds no dict/)
      assert.match(yield* open(Buffer.concat([op.unit, ...Array.from({ length: 100_000 }, () => op.tuple1)])), /holds no dict/)
      assert.match(yield* open(dictOf({ weights: op.dict })), /it holds weights, but no "params"/)
      assert.match(yield* open(dictOf({ params: dictOf({ a: op.int(1) }) })), /params holds "a", which is no tensor/)
    }))
})

describe("mutated files", () => {
  const whole = readFileSync(ckptPath("ckpt_torch"))
  const readAll = (bytes: Uint8Array) =>
    Effect.exit(Effect.scoped(Effect.gen(function*() {
      const { model } = yield* TorchCheckpoint.open("mutated.pt")
      const hash = createHash("sha256")
      for (const [name, { read }] of model) hash.update(name).update(new Uint8Array((yield* read).buffer))
      return hash.digest("hex")
    })).pipe(onDisk(diskOf(bytes))))

  const assertTyped = (exit: Exit.Exit<unknown, unknown>) => {
    if (Exit.isSuccess(exit)) return
    for (const reason of exit.cause.reasons) assert.isTrue(reason._tag === "Fail" && reason.error instanceof TorchFileError, String(exit.cause))
  }

  it.effect("1,000 archives: the same weights, or a typed error", () =>
    Effect.gen(function*() {
      const random = numbers(11)
      const original = yield* readAll(whole)
      let refused = 0
      for (let i = 0; i < 1000; i++) {
        const exit = yield* readAll(mutated(whole, random, [undefined, 20_000, -12_000][i % 3]))
        assertTyped(exit)
        if (Exit.isSuccess(exit)) assert.deepStrictEqual(exit, original)
        else refused++
      }
      assert.isAbove(refused, 500)
    }), 60_000)

  it("10,000 pickles: a value, or a typed error", () => {
    const random = numbers(12)
    const body = pickle(dictOf({ params: dictOf({ w: tensor(plan), v: tensor({ ...plan, shape: [2, 1], strides: [1, 2] }) }), step: op.int(3), groups: Buffer.concat([op.list, op.mark, op.float(1), op.long(5), op.appends]) }))
    let built = 0
    for (let i = 0; i < 10_000; i++) {
      try {
        unpickle(mutated(body, random), failing("mutated.pt"))
        built++
      } catch (error) {
        assert.instanceOf(error, TorchFileError)
      }
    }
    assert.isAbove(built, 100)
  })
})
