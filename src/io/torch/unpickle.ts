/**
 * An interpreter for the pickles of checkpoints that cannot do anything but build containers, numbers, text and tensors.
 *
 * It is an allow-list twice over: of opcodes (the table below; whatever is not in it is refused) and of globals
 * ({@link findGlobal}). A global outside the list is refused where it is named, before anything could call it. Stack,
 * marks and memo have caps, values are never walked recursively, and every text or number is part of the pickle, so
 * memory stays within a small multiple of its bytes.
 *
 * @source Python `Lib/pickletools.py` (opcodes), `torch/_weights_only_unpickler.py` (the same idea in PyTorch)
 * @since 0.1.0
 */
import { build, findGlobal, storageOf } from "./allowedGlobals.ts"
import { advance, cursorOf, integer, line, longLength, type PickleCursor, text, unsigned } from "./pickleCursor.ts"
import { PickleGlobal, PickleTuple, type PickleValue } from "./pickleValues.ts"
import { type Fail, type Place, TorchFileError } from "./TorchFileError.ts"

interface Machine {
  readonly cursor: PickleCursor
  readonly stack: Array<PickleValue>
  /** Heights of the stack at each MARK. */
  readonly marks: Array<number>
  readonly memo: Map<number, PickleValue>
  /** Dictionaries made by OrderedDict, which may be given attributes. */
  readonly ordered: WeakSet<object>
  readonly fail: Fail
  /** Values made so far, those that are gone again included. */
  values: number
  done: boolean
}

type Handler = (machine: Machine) => void

const longestStack = 1 << 17
/** A tensor takes about thirty; a value of one byte takes sixty bytes of memory. */
const mostValues = 1 << 19
const deepestMarks = 256
const largestMemo = 1 << 18
const protocols = { first: 2, last: 5 }

const push = (machine: Machine, value: PickleValue): void => {
  if (machine.stack.length >= longestStack) throw machine.fail("limit", `it holds more than ${longestStack} values at once`)
  if (++machine.values > mostValues) throw machine.fail("limit", `it makes more than ${mostValues} values`)
  machine.stack.push(value)
}

const floor = ({ marks }: Machine): number => marks.at(-1) ?? 0

const pop = (machine: Machine): PickleValue => {
  if (machine.stack.length <= floor(machine)) throw machine.fail("badPickle", "it takes a value that is not there")
  return machine.stack.pop()!
}

const top = (machine: Machine): PickleValue => {
  if (machine.stack.length <= floor(machine)) throw machine.fail("badPickle", "it looks for a value that is not there")
  return machine.stack.at(-1)!
}

const mark = (machine: Machine): void => {
  if (machine.marks.length >= deepestMarks) throw machine.fail("limit", `it nests deeper than ${deepestMarks} levels`)
  machine.marks.push(machine.stack.length)
}

/** All values above the last mark, which goes. */
const popMark = (machine: Machine): Array<PickleValue> => {
  const height = machine.marks.pop()
  if (height === undefined) throw machine.fail("badPickle", "it ends a group that was never begun")
  return machine.stack.splice(height)
}

const remember = (machine: Machine, index: number): void => {
  if (machine.memo.size >= largestMemo) throw machine.fail("limit", `it remembers more than ${largestMemo} values`)
  machine.memo.set(index, top(machine))
}

const recall = (machine: Machine, index: number): void => {
  const value = machine.memo.get(index)
  if (value === undefined) throw machine.fail("badPickle", `it recalls value ${index}, which it never remembered`)
  push(machine, value)
}

const tupleOf = (machine: Machine, length: number): void => {
  const items = Array.from({ length }, () => pop(machine)).reverse()
  push(machine, new PickleTuple(items))
}

const append = (machine: Machine, items: ReadonlyArray<PickleValue>): void => {
  const list = top(machine)
  if (!Array.isArray(list)) throw machine.fail("badPickle", "it appends to something that is no list")
  for (const item of items) list.push(item)
}

const setItems = (machine: Machine, items: ReadonlyArray<PickleValue>): void => {
  const dict = top(machine)
  if (!(dict instanceof Map)) throw machine.fail("badPickle", "it sets keys of something that is no dict")
  if (items.length % 2 !== 0) throw machine.fail("badPickle", "it sets a key without a value")
  for (let i = 0; i < items.length; i += 2) {
    const key = items[i]!
    if (typeof key !== "string" && !Number.isSafeInteger(key)) throw machine.fail("unsupported", "a dict has a key that is neither text nor a whole number")
    dict.set(key as string | number, items[i + 1]!)
  }
}

const isName = (name: PickleValue): name is string => typeof name === "string" && name.length <= 256

const pushGlobal = (machine: Machine, module: PickleValue, name: PickleValue): void => {
  if (!isName(module) || !isName(name)) throw machine.fail("refused", "it imports something whose name is no short text")
  const global = `${module}.${name}`
  const found = findGlobal(global)
  if (found === undefined) throw machine.fail("refused", `it wants to import ${JSON.stringify(global)}, which no checkpoint needs; refused`, { global })
  push(machine, found)
}

const reduce = (machine: Machine): void => {
  const args = pop(machine)
  const callable = pop(machine)
  if (!(callable instanceof PickleGlobal)) throw machine.fail("refused", "it calls something that is no listed function; refused")
  if (!(args instanceof PickleTuple)) throw machine.fail("badPickle", "it calls a function without a tuple of arguments")
  const built = build(callable, args.items, (detail) => machine.fail("badTensor", detail))
  if (built === undefined) throw machine.fail("refused", `it calls ${callable.name}, which is no listed function; refused`, { global: callable.name })
  if (built instanceof Map) machine.ordered.add(built)
  push(machine, built)
}

/** Only the `_metadata` of a state_dict is accepted, and left aside. */
const setAttributes = (machine: Machine): void => {
  const state = pop(machine)
  const target = top(machine)
  const isMetadata = state instanceof Map && state.size === 1 && state.has("_metadata")
  if (!(target instanceof Map) || !machine.ordered.has(target) || !isMetadata) {
    throw machine.fail("refused", "it sets attributes of an object (BUILD) other than the _metadata of a state_dict; refused")
  }
}

const protocol = (machine: Machine): void => {
  const version = unsigned(machine.cursor, 1)
  if (version < protocols.first || version > protocols.last) throw machine.fail("unsupported", `it is written in pickle protocol ${version}, not ${protocols.first} to ${protocols.last}`)
}

const long = (machine: Machine, length: number): void => {
  if (length > 8) throw machine.fail("limit", `it holds a number of ${length} bytes`)
  push(machine, length === 0 ? 0 : integer(machine.cursor, length))
}

const popOrUnmark = (machine: Machine): void => {
  if (machine.stack.length === floor(machine) && machine.marks.length > 0) machine.marks.pop()
  else pop(machine)
}

const stop = (machine: Machine): void => {
  const { cursor: { bytes, position }, marks, stack } = machine
  if (stack.length !== 1 || marks.length > 0) throw machine.fail("badPickle", `it ends with ${stack.length} values instead of one`)
  if (position !== bytes.length) throw machine.fail("badPickle", `it goes on for ${bytes.length - position} bytes behind its end`)
  machine.done = true
}

const handlers: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [0x80, protocol], // PROTO
  [0x95, (m) => { if (longLength(m.cursor) > m.cursor.bytes.length - m.cursor.position) throw m.cursor.cut() }], // FRAME
  [0x2e, stop], // STOP
  [0x28, mark], // MARK
  [0x30, popOrUnmark], // POP
  [0x31, (m) => { popMark(m) }], // POP_MARK
  [0x32, (m) => push(m, top(m))], // DUP
  [0x4e, (m) => push(m, null)], // NONE
  [0x88, (m) => push(m, true)], // NEWTRUE
  [0x89, (m) => push(m, false)], // NEWFALSE
  [0x4b, (m) => push(m, unsigned(m.cursor, 1))], // BININT1
  [0x4d, (m) => push(m, unsigned(m.cursor, 2))], // BININT2
  [0x4a, (m) => push(m, m.cursor.view.getInt32(advance(m.cursor, 4), true))], // BININT
  [0x8a, (m) => long(m, unsigned(m.cursor, 1))], // LONG1
  [0x8b, (m) => long(m, unsigned(m.cursor, 4))], // LONG4
  [0x47, (m) => push(m, m.cursor.view.getFloat64(advance(m.cursor, 8), false))], // BINFLOAT
  [0x8c, (m) => push(m, text(m.cursor, unsigned(m.cursor, 1)))], // SHORT_BINUNICODE
  [0x58, (m) => push(m, text(m.cursor, unsigned(m.cursor, 4)))], // BINUNICODE
  [0x8d, (m) => push(m, text(m.cursor, longLength(m.cursor)))], // BINUNICODE8
  [0x7d, (m) => push(m, new Map())], // EMPTY_DICT
  [0x5d, (m) => push(m, [])], // EMPTY_LIST
  [0x29, (m) => push(m, new PickleTuple([]))], // EMPTY_TUPLE
  [0x85, (m) => tupleOf(m, 1)], // TUPLE1
  [0x86, (m) => tupleOf(m, 2)], // TUPLE2
  [0x87, (m) => tupleOf(m, 3)], // TUPLE3
  [0x74, (m) => push(m, new PickleTuple(popMark(m)))], // TUPLE
  [0x61, (m) => append(m, [pop(m)])], // APPEND
  [0x65, (m) => append(m, popMark(m))], // APPENDS
  [0x73, (m) => setItems(m, [pop(m), pop(m)].reverse())], // SETITEM
  [0x75, (m) => setItems(m, popMark(m))], // SETITEMS
  [0x71, (m) => remember(m, unsigned(m.cursor, 1))], // BINPUT
  [0x72, (m) => remember(m, unsigned(m.cursor, 4))], // LONG_BINPUT
  [0x94, (m) => remember(m, m.memo.size)], // MEMOIZE
  [0x68, (m) => recall(m, unsigned(m.cursor, 1))], // BINGET
  [0x6a, (m) => recall(m, unsigned(m.cursor, 4))], // LONG_BINGET
  [0x63, (m) => pushGlobal(m, line(m.cursor), line(m.cursor))], // GLOBAL
  [0x93, (m) => { const name = pop(m); pushGlobal(m, pop(m), name) }], // STACK_GLOBAL
  [0x52, reduce], // REDUCE
  [0x62, setAttributes], // BUILD
  [0x51, (m) => push(m, storageOf(pop(m), (detail) => m.fail("refused", detail)))] // BINPERSID
])

const proto = 0x80
const hexadecimal = (opcode: number): string => `0x${opcode.toString(16).padStart(2, "0")}`

const explained = (cause: unknown, fail: Fail): unknown =>
  cause instanceof TorchFileError ? cause : fail("badPickle", cause instanceof Error ? cause.message : String(cause))

/** Builds the value of a pickle; throws a {@link TorchFileError} that names the opcode's byte. */
export const unpickle = (bytes: Uint8Array, failing: Fail): PickleValue => {
  let position = 0
  const fail: Fail = (reason, detail, more: Place = {}) => failing(reason, `the pickle is not accepted: ${detail}`, { position, ...more })
  const cursor = cursorOf(bytes, () => fail("badPickle", "it is cut short"))
  const machine: Machine = { cursor, stack: [], marks: [], memo: new Map(), ordered: new WeakSet(), fail, values: 0, done: false }
  if (bytes[0] !== proto) throw fail("unsupported", "it does not begin with its protocol")
  while (!machine.done) {
    position = cursor.position
    const opcode = unsigned(cursor, 1)
    const handler = handlers.get(opcode)
    if (handler === undefined) throw fail("refused", `opcode ${hexadecimal(opcode)} is not one of those that a checkpoint needs; refused`)
    try {
      handler(machine)
    } catch (cause) {
      throw explained(cause, fail)
    }
  }
  return machine.stack[0]!
}
