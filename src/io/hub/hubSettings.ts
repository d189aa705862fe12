/**
 * What the environment says about the hub: the variables that Hugging Face's own tools read.
 *
 * @since 0.1.0
 */
import { homedir } from "node:os"
import { join } from "node:path"

/** Where the hub is, who asks, and where its files are kept. */
export interface HubSettings {
  /** `HF_ENDPOINT`, else `https://huggingface.co`. */
  readonly endpoint: string
  /** `HF_TOKEN`; sent to the endpoint alone. */
  readonly token: string | undefined
  /** `HF_HUB_OFFLINE`: only files of the cache. */
  readonly offline: boolean
  /** `HF_HUB_CACHE`, else `hub` in `HF_HOME`, else `~/.cache/huggingface/hub`. */
  readonly cache: string
}

const given = (value: string | undefined): string | undefined => value === undefined || value.trim() === "" ? undefined : value.trim()

const cacheFolder = (variables: NodeJS.ProcessEnv): string => {
  const own = given(variables["HF_HUB_CACHE"]) ?? given(variables["HUGGINGFACE_HUB_CACHE"])
  if (own !== undefined) return own
  const caches = given(variables["XDG_CACHE_HOME"]) ?? join(homedir(), ".cache")
  return join(given(variables["HF_HOME"]) ?? join(caches, "huggingface"), "hub")
}

/** Reads the settings from environment variables. @source `huggingface_hub/constants.py` */
export const hubSettings = (variables: NodeJS.ProcessEnv = process.env): HubSettings => ({
  endpoint: (given(variables["HF_ENDPOINT"]) ?? "https://huggingface.co").replace(/\/+$/, ""),
  token: given(variables["HF_TOKEN"]),
  offline: ["1", "true", "yes", "on"].includes((variables["HF_HUB_OFFLINE"] ?? "").toLowerCase()),
  cache: cacheFolder(variables)
})
