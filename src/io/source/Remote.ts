/**
 * How remote files are fetched: a replaceable service, so that tests need neither patience nor the internet.
 *
 * @since 0.1.0
 */
import { Context } from "effect"

/** Settings of remote reads. */
export interface RemoteSettings {
  readonly fetch: (request: Request) => Promise<Response>
  /** How often a request is tried again after a server's fault (5xx, 429), a timeout or a body that ended early. */
  readonly retries: number
  /** Milliseconds before the first new try; each further one waits twice as long. */
  readonly backoff: number
  /** Milliseconds that one request may take. */
  readonly timeout: number
  /** Bytes fetched at once from a column. */
  readonly windowBytes: number
  /** Where S3's endpoint, region and credentials come from. */
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** The settings in use. */
export const Remote = Context.Reference<RemoteSettings>("elf-streams/io/Remote", {
  defaultValue: () => ({
    fetch: (request) => fetch(request),
    retries: 5,
    backoff: 250,
    timeout: 60_000,
    windowBytes: 8 << 20,
    environment: process.env
  })
})
