/**
 * Finding the engine that is already in the cache.
 *
 * @since 0.1.0
 */
import { existsSync, readdirSync, realpathSync } from "node:fs"
import { join } from "node:path"
import { enginesRoot } from "./cache.mjs"
import { isWhole, readManifest } from "./manifest.mjs"
import { platformKey } from "./platform.mjs"

/**
 * An engine in the cache: its folder, what to load from it, and its manifest.
 *
 * @typedef {object} Installed
 * @property {string} folder
 * @property {string} binding path of the compiled binding
 * @property {string} hush path of the addon that holds back notices
 * @property {string} javascript folder of the `@tensorflow/tfjs-node-gpu` files
 * @property {import("./manifest.mjs").Manifest} manifest
 */

/**
 * The newest whole engine for this machine.
 *
 * @param {{ readonly folder?: string | undefined, readonly device?: "cpu" | "gpu" }} [wish] `folder`: only one made from that
 *   folder (by default the one that `ELF_STREAMS_LIBTENSORFLOW` names, if it names one); `device`: only one for that device
 * @returns {Installed | undefined}
 */
export const locate = (wish = {}) => {
  const folder = wish.folder ?? (process.env["ELF_STREAMS_LIBTENSORFLOW"] || undefined)
  return candidates()
    .filter(({ manifest }) => folder === undefined || cameFrom(manifest, folder))
    .filter(({ manifest }) => wish.device === undefined || manifest.device === wish.device)
    .find((installed) => isWhole(installed.folder))
}

/** @returns {ReadonlyArray<Installed>} newest first */
const candidates = () => {
  if (!existsSync(enginesRoot())) return []
  const found = readdirSync(enginesRoot()).filter((name) => name.startsWith("tensorflow-")).flatMap((name) => {
    const folder = join(enginesRoot(), name)
    const manifest = readManifest(folder)
    if (manifest === undefined || manifest.platform !== platformKey()) return []
    const binding = join(folder, "tensorflow", "tfjs_binding.node")
    return [{ folder, binding, hush: join(folder, "hush.node"), javascript: join(folder, "tfjs"), manifest }]
  })
  return found.sort((one, other) => other.manifest.installedAt.localeCompare(one.manifest.installedAt))
}

/** @param {import("./manifest.mjs").Manifest} manifest @param {string} folder */
const cameFrom = ({ origin }, folder) =>
  origin.kind === "folder" && existsSync(folder) && origin.from === realpathSync(folder)
