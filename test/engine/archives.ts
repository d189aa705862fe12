/**
 * Small archives, written by hand so that a test can damage any part of them.
 */
import { crc32, deflateRawSync, gzipSync } from "node:zlib"

export interface File {
  readonly name: string
  readonly content: string
  /** 8 = deflated (default), 0 = stored. */
  readonly method?: 0 | 8
}

const local = (name: Buffer, method: number, crc: number, packed: Buffer, size: number): Buffer => {
  const header = Buffer.alloc(30)
  header.writeUInt32LE(0x04034b50, 0)
  header.writeUInt16LE(method, 8)
  header.writeUInt32LE(crc, 14)
  header.writeUInt32LE(packed.length, 18)
  header.writeUInt32LE(size, 22)
  header.writeUInt16LE(name.length, 26)
  return Buffer.concat([header, name, packed])
}

const central = (name: Buffer, method: number, crc: number, packed: Buffer, size: number, offset: number): Buffer => {
  const header = Buffer.alloc(46)
  header.writeUInt32LE(0x02014b50, 0)
  header.writeUInt16LE(method, 10)
  header.writeUInt32LE(crc, 16)
  header.writeUInt32LE(packed.length, 20)
  header.writeUInt32LE(size, 24)
  header.writeUInt16LE(name.length, 28)
  header.writeUInt32LE(offset, 42)
  return Buffer.concat([header, name])
}

/** A zip archive with the given files; `comment` follows its end record. */
export const zip = (files: ReadonlyArray<File>, comment = ""): Buffer => {
  const bodies: Array<Buffer> = []
  const directory: Array<Buffer> = []
  let offset = 0
  for (const { content, method = 8, name } of files) {
    const raw = Buffer.from(content)
    const packed = method === 8 ? deflateRawSync(raw) : raw
    const body = local(Buffer.from(name), method, crc32(raw), packed, raw.length)
    directory.push(central(Buffer.from(name), method, crc32(raw), packed, raw.length, offset))
    bodies.push(body)
    offset += body.length
  }
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(files.length, 8)
  end.writeUInt16LE(files.length, 10)
  end.writeUInt32LE(Buffer.concat(directory).length, 12)
  end.writeUInt32LE(offset, 16)
  end.writeUInt16LE(comment.length, 20)
  return Buffer.concat([...bodies, ...directory, end, Buffer.from(comment)])
}

const tarHeader = (name: string, size: number, type: string): Buffer => {
  const header = Buffer.alloc(512)
  header.write(name, 0, 100)
  header.write(`${size.toString(8).padStart(11, "0")}\0`, 124)
  header.write(" ".repeat(8), 148)
  header.write(type, 156)
  header.write("ustar\0", 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148)
  return header
}

const padded = (content: Buffer): Buffer => Buffer.concat([content, Buffer.alloc((512 - content.length % 512) % 512)])

const tarEntry = (name: string, content: Buffer, type = "0"): Buffer => Buffer.concat([tarHeader(name, content.length, type), padded(content)])

const paxRecord = (path: string): string => {
  const rest = ` path=${path}\n`
  const length = rest.length + String(rest.length + 2).length
  return `${length}${rest}`
}

/** The bytes of a tar archive; names over 100 characters get a pax header. */
export const tar = (files: ReadonlyArray<File>): Buffer =>
  Buffer.concat([
    tarEntry("package/folder/", Buffer.alloc(0), "5"),
    ...files.flatMap(({ content, name }) =>
      name.length > 100
        ? [tarEntry("pax", Buffer.from(paxRecord(name)), "x"), tarEntry(name.slice(0, 100), Buffer.from(content))]
        : [tarEntry(name, Buffer.from(content))]
    ),
    Buffer.alloc(1024)
  ])

/** A `.tar.gz`, as npm packs one. */
export const tarGz = (files: ReadonlyArray<File>): Buffer => gzipSync(tar(files))
