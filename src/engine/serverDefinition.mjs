/**
 * TensorFlow's description of a group of processes, as the bytes of its protocol message `ServerDef`.
 *
 * @since 0.1.0
 * @source TensorFlow, `core/protobuf/tensorflow_server.proto`, `cluster.proto`, `config.proto`
 */

/** @typedef {ReadonlyArray<number>} Bytes */

const job = "worker"

/**
 * The name that a process of the group has in TensorFlow.
 *
 * @param {number} rank
 * @returns {string}
 */
export const taskName = (rank) => `/job:${job}/replica:0/task:${rank}`

/** @param {number} value ≥ 0 @returns {Bytes} */
const varint = (value) => value < 128 ? [value] : [128 + value % 128, ...varint(Math.floor(value / 128))]

/** @param {number} field @param {number} value @returns {Bytes} */
const number = (field, value) => [...varint(field * 8), ...varint(value)]

/** @param {number} field @param {Bytes | string} content a message, or text @returns {Bytes} */
const part = (field, content) => {
  const bytes = typeof content === "string" ? [...new TextEncoder().encode(content)] : content
  return [...varint(field * 8 + 2), ...varint(bytes.length), ...bytes]
}

/** No process takes memory of a GPU for its sums, and rank 0 keeps the list of members. @returns {Bytes} a `ConfigProto` */
const configuration = () => [
  ...part(1, [...part(1, "CPU"), ...number(2, 1)]),
  ...part(1, [...part(1, "GPU"), ...number(2, 0)]),
  ...part(16, part(1, taskName(0)))
]

/**
 * The bytes that make a process number `rank` of those at `addresses` (`host:port` each).
 *
 * @param {ReadonlyArray<string>} addresses
 * @param {number} rank
 * @returns {Uint8Array}
 */
export const serverDefinition = (addresses, rank) => {
  const tasks = addresses.flatMap((address, task) => part(2, [...number(1, task), ...part(2, address)]))
  return Uint8Array.from([
    ...part(1, part(1, [...part(1, job), ...tasks])),
    ...part(2, job),
    ...number(3, rank),
    ...part(4, configuration()),
    ...part(5, "grpc")
  ])
}
