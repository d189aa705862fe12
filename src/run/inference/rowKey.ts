/**
 * The key of a row's draws, wherever and whenever the row is worked on.
 *
 * @since 0.1.0
 */
import { createHash } from "node:crypto"

/** An integer in [0, 2^52) that follows from the texts alone: the first 52 bits of their sha256. */
const key52 = (...parts: ReadonlyArray<string>): number => {
  const hash = createHash("sha256")
  for (const part of parts) hash.update(`${part.length}:${part}`)
  const bytes = hash.digest()
  return bytes.readUIntBE(0, 6) * 16 + (bytes[6]! >> 4)
}

/** The key of a row's draws: a function of its file's contents, its place there and its text or ids, and of nothing else. */
export const rowKey = (contentKey: string, row: number, input: string | Int32Array): number =>
  key52(contentKey, String(row), typeof input === "string" ? input : input.join(" "))

/** The key of one of several draws for one row. */
export const drawKey = (key: number, draw: number): number => key52("draw", String(key), String(draw))
