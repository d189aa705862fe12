/**
 * What the decoding of a parquet file throws; the open file turns it into a `ParquetError` that names the place.
 *
 * @since 0.1.0
 */

/** The bytes are not what the format, or the file itself, says they are. */
export class Damage extends Error {
  readonly reason: "corrupt" | "checksum" | "unsupported"
  constructor(detail: string, reason: "corrupt" | "checksum" | "unsupported" = "corrupt") {
    super(detail)
    this.reason = reason
  }
}

/** Throws {@link Damage} unless `holds`. */
export const require = (holds: boolean, detail: string | (() => string)): void => {
  if (!holds) throw new Damage(typeof detail === "string" ? detail : detail())
}
