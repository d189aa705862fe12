/**
 * Bytes with a size that are read in ranges: a file on disk, or an object behind http(s) or an S3-compatible store.
 *
 * @since 0.1.0
 */

/** An open source; it stays open until its scope closes. */
export interface ByteSource {
  /** Size in bytes when it was opened; a source that changes afterwards fails to read. */
  readonly size: number
  /** Another one after every change that the disk or the server lets know of; empty where it says nothing. */
  readonly version: string
  /** Bytes that are fetched at once where much is read: a remote source wants few requests. */
  readonly windowBytes: number
  /** The bytes `begin ≤ i < end`, which must lie inside the source; rejects with a `SourceError`. */
  readonly read: (begin: number, end: number) => Promise<Uint8Array<ArrayBuffer>>
}
