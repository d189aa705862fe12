/** Ways into Python that pickles are known for, and archives that two programs read differently: all refused, none executed. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as TorchCheckpoint from "../../src/io/torch/TorchCheckpoint.ts"
import { TorchFileError } from "../../src/io/torch/TorchFileError.ts"
import { onDisk } from "./support.ts"
import { archive, call, dictOf, diskOf, floats, op, pickle, tensor, tupleOf, zip } from "./torchFiles.ts"
import { refusal } from "./torchRefusal.ts"

/** Functions with which published exploits run code, open files or reach the network, some of them to slip through block-lists. */
const gadgets = [
  "os.system", "os.popen", "os.execve", "posix.system", "nt.system", "subprocess.run", "subprocess.check_output", "pty.spawn", "commands.getoutput",
  "builtins.eval", "builtins.exec", "builtins.compile", "builtins.__import__", "builtins.open", "builtins.getattr", "builtins.setattr",
  "__builtin__.eval", "__builtin__.apply", "importlib.import_module", "imp.load_source", "runpy.run_path", "runpy._run_code", "code.InteractiveInterpreter",
  "timeit.timeit", "cProfile.runctx", "bdb.Bdb.run", "pdb.run", "trace.Trace.runctx", "doctest.debug_script", "idlelib.pyshell.ModifiedInterpreter.runcode",
  "operator.attrgetter", "operator.methodcaller", "functools.partial", "functools.reduce", "itertools.starmap", "types.CodeType", "types.FunctionType",
  "copyreg._reconstructor", "copyreg.__newobj__", "copy_reg._reconstructor", "codecs.decode", "_codecs.encode", "marshal.loads", "pickle.loads", "_pickle.loads",
  "dill._dill._create_code", "cloudpickle.cloudpickle._make_function", "joblib.load", "numpy.load", "numpy.testing._private.utils.runstring", "numpy.f2py.crackfortran.myeval",
  "ctypes.CDLL", "ctypes.util.find_library", "cffi.FFI", "socket.create_connection", "urllib.request.urlopen", "http.client.HTTPSConnection", "webbrowser.open", "shutil.rmtree",
  "pip.main", "pip._internal.main", "setuptools.sandbox.run_setup", "distutils.file_util.write_file", "logging.config.listen", "asyncio.create_subprocess_shell",
  "multiprocessing.util.spawnv_passfds", "signal.raise_signal", "sys.exit", "gc.get_objects", "inspect.currentframe",
  "torch.load", "torch.serialization.load", "torch.hub.load", "torch.jit.load", "torch.ops.load_library", "torch.utils.cpp_extension.load", "torch._dynamo.guards.GuardBuilder.get",
  "torch.utils.data.datapipes.utils.decoder.basichandlers", "torch.utils.collect_env.run", "torch.distributed.rpc.rpc_sync", "torch.fx.experimental.symbolic_shapes.ShapeEnv.evaluate_guards_expression",
  "torch._utils._rebuild_tensor_v2.__globals__", "torch._utils._rebuild_wrapper_subclass", "torch._tensor._rebuild_from_type_v2", "torch.UntypedStorage", "torch.Tensor",
  "collections.OrderedDict.fromkeys", "collections.OrderedDict.__init__", "collections.namedtuple", "__main__.Payload", "ＯＳ.system", "os .system", "os.system\u0000", ".system", "os."
]

const cut = (global: string) => [global.slice(0, global.lastIndexOf(".")), global.slice(global.lastIndexOf(".") + 1)] as const
const stackGlobal = (module: string, name: string) => Buffer.concat([op.shortText(module), op.shortText(name), op.stackGlobal])

describe("functions of known exploits", () => {
  it.effect.each(gadgets.map((global) => [global]))("%j is refused where it is named: by GLOBAL, by STACK_GLOBAL, in a tuple, as INST and for NEWOBJ", ([global]) =>
    Effect.gen(function*() {
      const [module, name] = cut(global!)
      const run = (named: Buffer) => Buffer.concat([named, tupleOf(op.text("touch /tmp/x")), op.reduce])
      const ways = [
        pickle(run(op.global(module, name))),
        pickle(run(stackGlobal(module, name)), 4),
        pickle(dictOf({ params: tupleOf(op.int(1), run(op.global(module, name))) })),
        pickle([op.mark, op.text("x"), Buffer.from(`i${module}\n${name}\n`)]),
        pickle([op.global(module, name), op.unit, op.newObject])
      ]
      for (const bytes of ways) assert.strictEqual((yield* refusal(archive(bytes))).reason, "refused")
    }))
})

/** Every opcode of Python's pickletools that no checkpoint needs. */
const otherOpcodes = "I L S T U V F g p d l P i o \u0081 \u0082 \u0083 \u0084 \u008e \u008f \u0090 \u0091 \u0092 \u0096 \u0097 \u0098 B C".split(" ")

const slots = tupleOf(op.none, dictOf({ __class__: op.global("torch", "Size") }))
const halves = (depth: number) => Buffer.concat([op.list, ...Array.from({ length: depth }, (_, i) => Buffer.concat([op.put(i), op.list, op.get(i), op.append, op.get(i), op.append]))])
const doubled = Buffer.concat([op.text("a"), ...Array.from({ length: 60 }, () => Buffer.concat([Buffer.from("2"), Buffer.of(0x86)]))])
const cycle = Buffer.concat([op.dict, op.put(1), op.text("params"), op.get(1), op.setItem])

const tricks: ReadonlyArray<readonly [string, Buffer, RegExp]> = [
  ["BUILD with slots", pickle([call("collections", "OrderedDict"), slots, op.build]), /BUILD/],
  ["BUILD on a function", pickle([op.global("torch._utils", "_rebuild_tensor_v2"), dictOf({ __code__: op.none }), op.build]), /BUILD/],
  ["BUILD with more than the metadata", pickle([call("collections", "OrderedDict"), dictOf({ _metadata: op.dict, __class__: op.none }), op.build]), /BUILD/],
  ["BUILD with __reduce_ex__", pickle([call("collections", "OrderedDict"), dictOf({ __reduce_ex__: op.none }), op.build]), /BUILD/],
  ["the result of a call that is called", pickle([call("collections", "OrderedDict"), op.unit, op.reduce]), /no listed function/],
  ["a list of arguments", pickle([op.global("collections", "OrderedDict"), op.list, op.reduce]), /tuple of arguments/],
  ["a storage that is no storage class", pickle([tupleOf(op.text("storage"), op.global("torch", "Size"), op.text("0"), op.text("cpu"), op.int(2)), op.persistent]), /names no storage/],
  ["a key that is a function", pickle([op.dict, op.global("torch", "Size"), op.none, op.setItem]), /neither text/],
  ["a second pickle behind the first", Buffer.concat([pickle(op.none), pickle(call("os", "system", op.text("x")))]), /behind its end/],
  ["a call in what is popped again", pickle([call("os", "system", op.text("x")), Buffer.from("0"), op.none]), /os\.system/],
  ["hundreds of thousands of lists", pickle(Buffer.concat([op.list, Buffer.alloc(2 * 600_000, "]a")])), /makes more than 524288 values/],
  ["a number of a gigabyte", Buffer.concat([op.proto(), Buffer.of(0x8b, 0, 0, 0, 0x40), op.stop]), /number of 1073741824 bytes/]
]

describe("tricks of pickles", () => {
  it.effect.each(otherOpcodes.map((opcode) => [opcode]))("opcode %j", ([opcode]) =>
    Effect.gen(function*() {
      const error = yield* refusal(archive(pickle([op.none, Buffer.from(opcode!, "latin1"), Buffer.from("os\nsystem\n")], 5)))
      assert.match(error.message, /opcode 0x/)
    }))

  it.effect.each(tricks)("%s", ([, bytes, message]) =>
    Effect.gen(function*() {
      const error = yield* refusal(archive(bytes, { 0: floats(1, 2) }))
      assert.match(error.message, message)
    }))

  it.effect("lists that hold each other twice, and a dict that holds itself, are looked at and not walked", () =>
    Effect.gen(function*() {
      const open = (bytes: Buffer) => Effect.flip(Effect.scoped(TorchCheckpoint.open("x.pt")).pipe(onDisk(diskOf(archive(pickle(bytes))))))
      for (const bytes of [halves(60), doubled, dictOf({ params: dictOf({ w: halves(60) }) }), cycle]) assert.instanceOf(yield* open(bytes), TorchFileError)
    }))
})

const plain = pickle(tensor({ key: "0", elements: 2, shape: [2], strides: [1] }))
const record = { name: "a/data.pkl", data: plain }
const storage = { name: "a/data/0", data: floats(1, 2) }
const whole = zip([record, storage])
const wide = zip([record, storage], { zip64: true })

const edited = (bytes: Buffer, edit: (copy: Buffer) => void): Buffer => {
  const copy = Buffer.from(bytes)
  edit(copy)
  return copy
}
/** The archive with another one's end in its comment. */
const twoEnds = Buffer.concat([edited(whole, (copy) => { copy.writeUInt16LE(22, copy.length - 2) }), whole.subarray(whole.length - 22)])
const link = 0o120777

const archives: ReadonlyArray<readonly [string, Buffer, RegExp]> = [
  ["a symbolic link", zip([record, { ...storage, data: Buffer.from("/etc/passwd"), claim: { mode: link } }]), /is a link/],
  ["a pickle that is a symbolic link", zip([{ ...record, claim: { mode: link } }, storage]), /is a link/],
  ["two ends", twoEnds, /two ends/],
  ["a local header of another size", zip([record, { ...storage, localSize: 4 }]), /another size/],
  ["more entries than there are", edited(whole, (copy) => { copy.writeUInt16LE(9, copy.length - 12) }), /entry 2 of its directory is damaged/],
  ["fewer entries than there are", edited(whole, (copy) => { copy.writeUInt16LE(1, copy.length - 12) }), /more than its entries/],
  ["several disks", edited(whole, (copy) => { copy.writeUInt16LE(1, copy.length - 18) }), /one part of several/],
  ["a directory beyond the end", edited(whole, (copy) => { copy.writeUInt32LE(whole.length, copy.length - 6) }), /outside the file/],
  ["a zip64 end that is not there", edited(whole, (copy) => { copy.writeUInt32LE(0xffffffff, copy.length - 6) }), /zip64 locator is missing/],
  ["a zip64 locator that points elsewhere", edited(wide, (copy) => { copy.writeBigUInt64LE(3n, copy.length - 34) }), /zip64 end record is missing/],
  ["a zip64 directory of 2^63 bytes", edited(wide, (copy) => { copy.writeBigUInt64LE(1n << 63n, copy.length - 58) }), /9223372036854775808 bytes is claimed/],
  ["a zip64 count of 2^40", edited(wide, (copy) => { copy.writeBigUInt64LE(1n << 40n, copy.length - 66) }), /1099511627776 records/],
  ["zip64 sizes that are not there", edited(whole, (copy) => { copy.writeUInt32LE(0xffffffff, copy.readUInt32LE(copy.length - 6) + 24) }), /zip64 field is missing/],
  ["a name that is no text", edited(whole, (copy) => { copy[copy.readUInt32LE(copy.length - 6) + 46] = 0xff }), /no text/],
  ["a network path", zip([record, { ...storage, name: "//server/share/x" }]), /leads out/],
  ["a name with an end of text in it", zip([record, { ...storage, name: "a/data/0\u0000.txt" }]), /leads out/],
  ["no name", zip([record, { ...storage, name: "" }]), /leads out/],
  ["a pickle that unpacks to a thousand times its bytes", zip([{ ...record, data: Buffer.alloc(1 << 20, "N"), deflate: true }]), /unpacks from \d+ to 1048576 bytes/]
]

describe("tricks of archives", () => {
  it.effect.each(archives)("%s", ([, bytes, message]) =>
    Effect.gen(function*() {
      assert.match((yield* refusal(bytes)).message, message)
    }))
})
