/**
 * One HTTP request, tried again while the fault may pass.
 *
 * @since 0.1.0
 */
import { setTimeout as sleep } from "node:timers/promises"
import type { RemoteSettings } from "./Remote.ts"
import { failing, SourceError } from "./SourceError.ts"

/** A response and what was made of its body. */
type Handle<A> = (response: Response) => Promise<A>

const passing = (status: number): boolean => status === 408 || status === 429 || status >= 500

const reasonOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  return cause.cause instanceof Error ? cause.cause.message || (cause.cause as NodeJS.ErrnoException).code || cause.message : cause.message
}

/** The error of a response that is no success. */
export const statusError = (source: string, status: number): SourceError => {
  const fail = failing(source)
  if (status === 404 || status === 410) return fail("missing", `there is no such file (HTTP ${status})`, "check the address")
  if (status === 401 || status === 403) return fail("denied", `access is denied (HTTP ${status})`, "check the address and your credentials")
  return fail("network", `the server answered HTTP ${status}`, "try again later")
}

/**
 * Runs a request and handles its response; a server's fault, a timeout, and a body that ends early are tried again.
 * Rejects with a {@link SourceError}; one that `handle` throws is final.
 */
export const withRetries = async <A>(source: string, settings: RemoteSettings, fetch: () => Promise<Response>, handle: Handle<A>): Promise<A> => {
  let last: SourceError | undefined
  for (let attempt = 0; attempt <= settings.retries; attempt++) {
    if (attempt > 0) await sleep(settings.backoff * 2 ** (attempt - 1))
    try {
      const response = await fetch()
      if (!passing(response.status)) return await handle(response)
      await response.body?.cancel()
      last = statusError(source, response.status)
    } catch (cause) {
      if (cause instanceof SourceError) throw cause
      last = failing(source)("network", `the request failed (${reasonOf(cause)})`, "check the address and the network")
    }
  }
  const { detail, reason, remedy } = last!
  throw failing(source)(reason, `${detail}, after ${settings.retries + 1} tries`, remedy)
}
