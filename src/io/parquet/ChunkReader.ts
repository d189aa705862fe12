/**
 * The bytes of a column chunk from front to back, fetched in windows: a chunk of a remote file is one or few requests,
 * and memory holds one window and one page.
 *
 * @since 0.1.0
 */
import type { PageHeader } from "hyparquet"
import { Damage, require } from "./Damage.ts"
import { readHeader } from "./pages.ts"
import { EndOfBytes } from "./thrift.ts"

/** Reads a range of the file; it lies inside the file. */
export type ReadBytes = (begin: number, end: number) => Promise<Uint8Array<ArrayBuffer>>

/** A page as it is stored. */
export interface StoredPage {
  readonly header: PageHeader
  /** What is behind the header, compressed as in the file. */
  readonly stored: Uint8Array<ArrayBuffer>
  /** Both. */
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** Walks the pages of a chunk that takes the bytes from `begin` to `end` of its file. */
export class ChunkReader {
  readonly #read: ReadBytes
  readonly #windowBytes: number
  readonly #end: number
  /** Where the next bytes to fetch begin. */
  #position: number
  #window: Uint8Array<ArrayBuffer> = new Uint8Array()
  #offset = 0

  constructor(read: ReadBytes, begin: number, end: number, windowBytes: number) {
    this.#read = read
    this.#position = begin
    this.#end = end
    this.#windowBytes = windowBytes
  }

  /** The next page; undefined at the end of the chunk. */
  async next(): Promise<StoredPage | undefined> {
    if (this.#offset === this.#window.length && this.#position >= this.#end) return undefined
    const { end, header } = await this.#header()
    const [length, size] = [end - this.#offset, header.compressed_page_size]
    const there = this.#window.length - end + this.#end - this.#position
    require(size <= there, () => `a page claims ${size} bytes where the column has ${there} left`)
    if (this.#window.length - end < size) await this.#fetch(length + size)
    const bytes = this.#window.subarray(this.#offset, this.#offset + length + size)
    this.#offset += bytes.length
    return { header, stored: bytes.subarray(length), bytes }
  }

  async #header(): Promise<{ readonly header: PageHeader; readonly end: number }> {
    if (this.#offset === this.#window.length) await this.#fetch(1)
    for (;;) {
      try {
        return readHeader(this.#window, this.#offset)
      } catch (cause) {
        if (cause instanceof EndOfBytes && this.#position < this.#end) await this.#fetch(this.#window.length - this.#offset + 1)
        else throw cause instanceof Damage ? cause : new Damage(`a page header cannot be read (${String(cause)})`)
      }
    }
  }

  /** Keeps what is not used yet and adds the next window, so that `needed` bytes are there. */
  async #fetch(needed: number): Promise<void> {
    const rest = this.#window.subarray(this.#offset)
    const more = Math.min(Math.max(needed - rest.length, this.#windowBytes), this.#end - this.#position)
    const bytes = await this.#read(this.#position, this.#position + more)
    this.#position += more
    this.#offset = 0
    if (rest.length === 0) this.#window = bytes
    else {
      this.#window = new Uint8Array(rest.length + bytes.length)
      this.#window.set(rest)
      this.#window.set(bytes, rest.length)
    }
  }
}
