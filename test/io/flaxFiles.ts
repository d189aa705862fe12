/** Builds Flax msgpack files by hand, honest and hostile ones. */

export const text = (value: string) => Buffer.concat([Buffer.of(0xd9, Buffer.byteLength(value)), Buffer.from(value)])
export const map = (entries: ReadonlyArray<readonly [string, Buffer]>) => Buffer.concat([Buffer.of(0xde, entries.length >> 8, entries.length & 255), ...entries.flatMap(([key, value]) => [text(key), value])])
export const list = (...items: ReadonlyArray<Buffer>) => Buffer.concat([Buffer.of(0xdc, items.length >> 8, items.length & 255), ...items])
export const long = (type: number, length: number, ...rest: ReadonlyArray<Buffer>) => Buffer.concat([Buffer.of(type, length >>> 24, (length >> 16) & 255, (length >> 8) & 255, length & 255), ...rest])
export const extension = (type: number, bytes: Buffer) => long(0xc9, bytes.length, Buffer.of(type), bytes)
export const int = (value: number) => Buffer.of(value)
export const array = (shape: ReadonlyArray<number>, dtype: string, data: Buffer, type = 1) => extension(type, list(list(...shape.map(int)), text(dtype), long(0xc6, data.length, data)))
export const file = (params: ReadonlyArray<readonly [string, Buffer]>, more: ReadonlyArray<readonly [string, Buffer]> = []) => map([["params", map(params)], ...more])

export const chunked = (shape: ReadonlyArray<number>, ...chunks: ReadonlyArray<Buffer>) =>
  map([
    ["__msgpack_chunked_array__", Buffer.of(0xc3)],
    ["shape", map(shape.map((size, axis) => [String(axis), int(size)] as const))],
    ["chunks", map(chunks.map((chunk, i) => [String(i), chunk] as const))]
  ])
