/**
 * Questions to a hub over HTTP: what a file is, and its bytes from a position on.
 *
 * @source `huggingface_hub/file_download.py`, `get_hf_file_metadata`; `huggingface_hub/errors.py`
 * @since 0.1.0
 */
import { Effect } from "effect"
import { isCommit } from "./hubCache.ts"
import { failing, type HubError, type HubFile } from "./HubError.ts"
import type { HubSettings } from "./hubSettings.ts"

/** What the hub says about a file before it sends it. */
export interface Announced {
  readonly commit: string
  /** Name of the bytes: their sha256, their git hash, or whatever else the hub calls them. */
  readonly etag: string
  /** Bytes. */
  readonly size: number
}

/** Address of a file. */
const addressOf = ({ endpoint }: HubSettings, { file, repository, revision }: HubFile): string =>
  `${endpoint}/${repository}/resolve/${encodeURIComponent(revision)}/${file.split("/").map(encodeURIComponent).join("/")}`

const headers = ({ token }: HubSettings, more: Readonly<Record<string, string>>): Record<string, string> => ({
  "user-agent": "elf-streams",
  // Sizes and positions are those of the file, not of a compressed answer.
  "accept-encoding": "identity",
  ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  ...more
})

const codeOf = (cause: unknown): string => {
  const inner = cause instanceof Error && cause.cause !== undefined ? cause.cause : cause
  const code = (inner as { readonly code?: unknown } | undefined)?.code
  return typeof code === "string" ? code : inner instanceof Error ? inner.message : String(inner)
}

/** A connection that could not be made, or broke. */
export const broken = (settings: HubSettings, file: HubFile, cause: unknown): HubError =>
  failing(
    file,
    "network",
    `${new URL(settings.endpoint).host} cannot be reached (${codeOf(cause)})`,
    "Check the network (NODE_USE_ENV_PROXY=1 makes Node use HTTPS_PROXY), name a mirror with HF_ENDPOINT, or fetch the repository elsewhere and give its folder as encoder.path"
  )

const request = (settings: HubSettings, file: HubFile, url: string, init: RequestInit): Effect.Effect<Response, HubError> =>
  Effect.tryPromise({ try: (signal) => fetch(url, { ...init, signal }), catch: (cause) => broken(settings, file, cause) })

const nameRemedy = "Check the name; for a private or gated repository set HF_TOKEN to a token that may read it"

/** What an answer other than a success means. */
const refusal = (settings: HubSettings, file: HubFile, response: Response): HubError => {
  const { status } = response
  const code = response.headers.get("x-error-code") ?? ""
  const words = response.headers.get("x-error-message") ?? ""
  if (status === 401) {
    return failing(file, "denied", settings.token === undefined ? "there is no such public repository" : "the token in HF_TOKEN is not accepted", nameRemedy, status)
  }
  if (status === 403) {
    return failing(file, "denied", `access is refused${words === "" ? "" : ` (${words})`}`, `Ask for access at ${settings.endpoint}/${file.repository}, and set HF_TOKEN to a token of the account that has it`, status)
  }
  if (code === "RepoNotFound") return failing(file, "notFound", "there is no such repository", nameRemedy, status)
  if (code === "RevisionNotFound") return failing(file, "notFound", "the repository has no such revision", "Give a branch, tag or commit of the repository as encoder.revision", status)
  if (status === 404) return failing(file, "notFound", "the repository has no such file", "Check the name of the repository", status)
  if (status === 429 || status >= 500) return failing(file, "network", `${new URL(settings.endpoint).host} answered ${status}`, "Try again later", status)
  return failing(file, "badAnswer", `${new URL(settings.endpoint).host} answered ${status}`, "Check HF_ENDPOINT", status)
}

/** Whether an error says for certain that the commit does not have the file. */
export const isAbsentFile = ({ detail, reason }: HubError): boolean => reason === "notFound" && detail === "the repository has no such file"

const tagOf = (value: string | null): string | undefined => value?.replace(/^W\//, "").replaceAll("\"", "") || undefined

/** The headers of all hops, the last one's first: the hub says some things on the way only. A redirect's own length is none of the file. */
const announcedBy = (settings: HubSettings, file: HubFile, hops: ReadonlyArray<Response>): Effect.Effect<Announced, HubError> => {
  const header = (name: string) => hops.map(({ headers }) => headers.get(name)).findLast((value) => value !== null) ?? null
  const last = hops.at(-1)!
  const commit = header("x-repo-commit") ?? ""
  const etag = tagOf(header("x-linked-etag")) ?? tagOf(last.headers.get("etag"))
  const size = Number(header("x-linked-size") ?? (last.ok ? last.headers.get("content-length") : null) ?? Number.NaN)
  const usable = isCommit(commit) && etag !== undefined && /^[\w.+-]{1,128}$/.test(etag) && Number.isSafeInteger(size) && size >= 0
  return usable
    ? Effect.succeed({ commit, etag, size })
    : Effect.fail(failing(file, "badAnswer", `${settings.endpoint} does not answer as a hub does: its answer lacks commit, checksum or size`, "Check HF_ENDPOINT"))
}

const isRedirect = (status: number): boolean => [301, 302, 303, 307, 308].includes(status)

/** Asks what a file is. Renamed repositories lead on within the hub; the way to the storage is not gone here. */
export const announce = (settings: HubSettings, file: HubFile): Effect.Effect<Announced, HubError> =>
  Effect.gen(function*() {
    let url = addressOf(settings, file)
    const hops: Array<Response> = []
    while (hops.length < 5) {
      const response = yield* request(settings, file, url, { method: "HEAD", redirect: "manual", headers: headers(settings, {}) })
      if (!response.ok && !isRedirect(response.status)) return yield* refusal(settings, file, response)
      hops.push(response)
      const next = new URL(response.headers.get("location") ?? url, url)
      if (response.ok || next.origin !== new URL(settings.endpoint).origin) return yield* announcedBy(settings, file, hops)
      url = next.href
    }
    return yield* failing(file, "badAnswer", `${settings.endpoint} redirects without end`, "Check HF_ENDPOINT")
  })

/** Bytes of a file, and where they begin: at `from`, or at 0 where the server does not do parts. */
export interface Answer {
  readonly from: number
  readonly body: AsyncIterable<Uint8Array>
}

/**
 * Asks for a file's bytes from `from` on. `Authorization` does not go along where the hub sends us to another host: `fetch`
 * takes care of that.
 */
export const requestBytes = (settings: HubSettings, file: HubFile, from: number): Effect.Effect<Answer, HubError> =>
  Effect.gen(function*() {
    const part: Record<string, string> = from === 0 ? {} : { range: `bytes=${from}-` }
    const response = yield* request(settings, file, addressOf(settings, file), { headers: headers(settings, part) })
    if (!response.ok) return yield* refusal(settings, file, response)
    const answered = response.status === 206 ? Number(/^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "")?.[1] ?? Number.NaN) : 0
    if (answered !== from && answered !== 0) return yield* failing(file, "badAnswer", `the bytes from ${from} on were asked for, those from ${answered} on came`, "Try again")
    return { from: answered, body: response.body ?? new ReadableStream<Uint8Array>() }
  })
