/**
 * TensorBoard's events as bytes: a little of protocol buffers inside TensorFlow's record framing.
 *
 * @source TensorFlow `tensorflow/core/util/event.proto`, `tensorflow/core/framework/summary.proto`, `tensorflow/core/lib/io/record_writer.cc`
 * @since 0.1.0
 */
import { maskedCrc32c } from "./crc32c.ts"

/** What one event says. */
export interface TensorBoardEvent {
  /** Seconds since 1970. */
  readonly time: number
  /** Optimiser step, 0 or more. */
  readonly step: number
  /** `brain.Event:2` in the first event of a file, nothing in the others. */
  readonly fileVersion?: string
  /** Whether a run begins, or goes on, at `step`: what an earlier file has from there on is dropped by the reader. */
  readonly starts?: boolean
  /** Values by tag. */
  readonly scalars?: Readonly<Record<string, number>>
}

const wire = { varint: 0, eightBytes: 1, length: 2, fourBytes: 5 } as const

const varint = (value: number): Buffer => {
  const bytes: Array<number> = []
  let rest = BigInt(value)
  do {
    const low = Number(rest & 0x7fn)
    rest >>= 7n
    bytes.push(rest > 0n ? low | 0x80 : low)
  } while (rest > 0n)
  return Buffer.from(bytes)
}

const key = (field: number, kind: number): Buffer => varint(field << 3 | kind)
const int = (field: number, value: number): Buffer => Buffer.concat([key(field, wire.varint), varint(value)])
const message = (field: number, body: Uint8Array): Buffer => Buffer.concat([key(field, wire.length), varint(body.length), body])
const text = (field: number, value: string): Buffer => message(field, Buffer.from(value))

const float = (field: number, value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return Buffer.concat([key(field, wire.fourBytes), bytes])
}

const double = (field: number, value: number): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleLE(value)
  return Buffer.concat([key(field, wire.eightBytes), bytes])
}

/** `SessionLog.START`. */
const sessionStart = int(1, 1)

/** The protocol buffer of an event. */
export const encodeEvent = ({ fileVersion, scalars = {}, starts = false, step, time }: TensorBoardEvent): Buffer => {
  const values = Object.entries(scalars).map(([tag, value]) => message(1, Buffer.concat([text(1, tag), float(2, value)])))
  return Buffer.concat([
    double(1, time),
    // Protocol buffers leave out what is zero.
    ...(step === 0 ? [] : [int(2, step)]),
    ...(fileVersion === undefined ? [] : [text(3, fileVersion)]),
    ...(values.length === 0 ? [] : [message(5, Buffer.concat(values))]),
    ...(starts ? [message(7, sessionStart)] : [])
  ])
}

const checksum = (bytes: Uint8Array): Buffer => {
  const out = Buffer.alloc(4)
  out.writeUInt32LE(maskedCrc32c(bytes))
  return out
}

/** A record: length, its checksum, the bytes, their checksum. */
export const record = (bytes: Uint8Array): Buffer => {
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(bytes.length))
  return Buffer.concat([length, checksum(length), bytes, checksum(bytes)])
}
