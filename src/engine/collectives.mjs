/**
 * TensorFlow's collective operations: sums over several processes, for training that is shared between them.
 *
 * The stock binding has none of it, so a small addon of this package is compiled beside it. It is optional: an engine without
 * it trains on one process.
 *
 * @since 0.1.0
 */
import { existsSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { complaintOf } from "./command.mjs"
import { linkFlags, runCompiler } from "./compile.mjs"
import { EngineError, reasonOf } from "./EngineError.mjs"
import { serverDefinition, taskName } from "./serverDefinition.mjs"

const source = fileURLToPath(new URL("../../src/engine/native/collectives.cc", import.meta.url))

const fileName = "collectives.node"

/**
 * Compiles the addon beside the libraries; where it cannot be compiled, one line says why.
 *
 * @param {import("./compile.mjs").Tools & { readonly work: string, readonly libtensorflow: import("./libtensorflow.mjs").Libtensorflow,
 *   readonly log: (line: string) => void }} options
 * @returns {Promise<void>}
 */
export const compileCollectives = async ({ log, work, libtensorflow, ...tools }) => {
  const target = join(work, "tensorflow", fileName)
  const outcome = await runCompiler(tools, target, [`-I${libtensorflow.includeFolder}`, source, ...linkFlags(work, libtensorflow)])
  if (outcome.code === 0) return
  rmSync(target, { force: true })
  log(`without training on several processes, for ${complaintOf(outcome)}`)
}

/**
 * What the addon exports. A promise is rejected with an error whose `code` is TensorFlow's, as text.
 *
 * @typedef {object} Addon
 * @property {(serverDefinition: Uint8Array) => void} open
 * @property {(port: number) => boolean} keepOnLoopback
 * @property {(array: Float32Array | Int32Array, groupSize: number, instanceKey: number) => Promise<void>} sum
 * @property {(task: string, milliseconds: number) => Promise<void>} checkPeer
 * @property {(why: string) => void} abort
 */

/**
 * This process as a member of a group.
 *
 * @typedef {object} Collectives
 * @property {boolean} exposed whether other machines can reach this process's server
 * @property {(array: Float32Array | Int32Array) => Promise<void>} sum puts Σ over all processes in the array's place; all call it
 *   in the same order with the same lengths. The array must not be touched before the promise settles
 * @property {(rank: number, milliseconds: number) => Promise<void>} checkPeer rejects if that process does not answer in time
 * @property {(why: string) => void} abort ends the sums under way, here and with the others, and all later ones
 */

/** @param {string} binding @returns {Addon} */
const loadAddon = (binding) => {
  const path = join(dirname(binding), fileName)
  if (!existsSync(path)) {
    throw new EngineError("NotInstalled", "the installed tensor engine cannot train on several processes", "Install it again with `elf engine install --force` and see what it says")
  }
  try {
    return createRequire(import.meta.url)(path)
  } catch (error) {
    throw new EngineError("LoadFailed", `${path} could not be loaded: ${reasonOf(error)}`, "Install the engine again with `elf engine install --force`", error)
  }
}

/** @param {string} address `host:port` */
const isLoopback = (address) => /^(127\.\d+\.\d+\.\d+|localhost|\[::1\]):\d+$/.test(address)

/** @param {string} address */
const portOf = (address) => Number(address.slice(address.lastIndexOf(":") + 1))

/**
 * A key for each sum. TensorFlow remembers every key with the length that it was used for, so few are used again and again:
 * nobody can begin a sum before all have left the last but one.
 *
 * @returns {(length: number, type: string) => number}
 */
const instanceKeys = () => {
  const cycle = 4
  /** @type {Map<string, { base: number, used: number }>} */
  const known = new Map()
  return (length, type) => {
    const name = `${type} ${length}`
    const entry = known.get(name) ?? { base: 1 + cycle * known.size, used: 0 }
    known.set(name, entry)
    return entry.base + entry.used++ % cycle
  }
}

/** Longest array of one operation, 64 MB: what TensorFlow holds beside the array itself is as long. */
const longestSum = 1 << 24

/** @param {Float32Array | Int32Array} array */
const partsOf = (array) =>
  Array.from({ length: Math.ceil(array.length / longestSum) }, (_, i) => array.subarray(i * longestSum, (i + 1) * longestSum))

/**
 * Starts this process's server as number `rank` of the processes at `addresses`; possible once a process. It does not wait for
 * the others. Throws an {@link EngineError}.
 *
 * @param {string} binding path of the stock binding, beside which the addon lies
 * @param {ReadonlyArray<string>} addresses `host:port` of each process
 * @param {number} rank
 * @returns {Collectives}
 */
export const openCollectives = (binding, addresses, rank) => {
  const addon = loadAddon(binding)
  const own = addresses[rank] ?? ""
  try {
    addon.open(serverDefinition(addresses, rank))
  } catch (error) {
    throw new EngineError("LoadFailed", `no server could be started at ${own}: ${reasonOf(error)}`, "Give addresses whose ports are free, the same ones to all processes", error)
  }
  const keyOf = instanceKeys()
  return {
    exposed: !(addresses.every(isLoopback) && addon.keepOnLoopback(portOf(own))),
    sum: async (array) => {
      for (const part of partsOf(array)) await addon.sum(part, addresses.length, keyOf(part.length, part.constructor.name))
    },
    checkPeer: (rank, milliseconds) => addon.checkPeer(taskName(rank), milliseconds),
    abort: addon.abort
  }
}
