/**
 * Reverse-mode gradients with respect to named parameters.
 *
 * Notable: TensorFlow.js records the operations and knows their gradients; the way back is taken here, because its own keeps
 * every saved activation and every intermediate gradient until the last one is there. Here each goes when its operation is
 * done, so that a step needs no more memory backwards than it did forwards, but for the gradients themselves.
 */
import * as tf from "@tensorflow/tfjs-core"
import { parameter, type Parameters } from "./Parameters.ts"

/** A scalar's value and its gradients by parameter name. */
export interface ValueAndGradients {
  readonly value: number
  /** Zero for a parameter that the scalar does not depend on. They belong to the caller. */
  readonly gradients: Parameters
}

/** One recorded operation. `inputs` and `outputs` may be released already: they stand for themselves by their ids. */
interface Recorded {
  readonly inputs: Readonly<Record<string, tf.Tensor>>
  readonly outputs: ReadonlyArray<tf.Tensor>
  readonly gradient: (slopes: ReadonlyArray<tf.Tensor | null>) => Readonly<Record<string, () => tf.Tensor>>
  readonly saved: ReadonlyArray<tf.Tensor>
}

/** The part of TensorFlow.js's engine that records. */
interface Recorder {
  readonly startTape: () => void
  readonly endTape: () => void
  readonly state: { activeTape: ReadonlyArray<Recorded> | null }
}

const releaseSaved = (tape: ReadonlyArray<Recorded>): void => {
  for (const { saved } of tape) tf.dispose([...saved])
}

/** Evaluates `scalar`; returns what it did. What the way back needs stays alive. */
const record = (scalar: () => tf.Scalar): { readonly value: tf.Scalar; readonly tape: ReadonlyArray<Recorded> } => {
  const recorder = tf.engine() as unknown as Recorder
  recorder.startTape()
  try {
    const value = tf.tidy(scalar)
    return { value, tape: recorder.state.activeTape ?? [] }
  } catch (error) {
    releaseSaved(recorder.state.activeTape ?? [])
    throw error
  } finally {
    recorder.endTape()
    recorder.state.activeTape = null
  }
}

/** Ids of the tensors that depend on one of `ids`, and these. */
const reached = (tape: ReadonlyArray<Recorded>, ids: Iterable<number>): ReadonlySet<number> => {
  const found = new Set(ids)
  for (const { inputs, outputs } of tape) {
    if (Object.values(inputs).some(({ id }) => found.has(id))) for (const { id } of outputs) found.add(id)
  }
  return found
}

/** The gradients of one operation's inputs, each a tensor of its own. */
const slopesOfInputs = ({ gradient, inputs, outputs }: Recorded, slopes: ReadonlyMap<number, tf.Tensor>, varying: ReadonlySet<number>) => {
  const names = Object.keys(inputs).filter((name) => varying.has(inputs[name]!.id))
  const upstream = outputs.map(({ id }) => slopes.get(id) ?? null)
  if (names.length === 0 || upstream.every((slope) => slope === null)) return []
  const computed = tf.tidy(() => {
    const taken = new Set<tf.Tensor | null>(upstream)
    const all = gradient(upstream)
    return names.map((name) => {
      const slope = all[name]!()
      const own = taken.has(slope) ? tf.clone(slope) : slope
      taken.add(own)
      return own
    })
  })
  return names.map((name, i) => [inputs[name]!.id, computed[i]!] as const)
}

/** Goes back over the tape and returns the gradients by id of the tensors that no operation made. */
const backpropagate = (value: tf.Scalar, tape: ReadonlyArray<Recorded>, varying: ReadonlySet<number>): ReadonlyMap<number, tf.Tensor> => {
  const slopes = new Map<number, tf.Tensor>([[value.id, tf.onesLike(value)]])
  for (const operation of tape.toReversed()) {
    for (const [id, slope] of slopesOfInputs(operation, slopes, varying)) {
      const before = slopes.get(id)
      slopes.set(id, before === undefined ? slope : tf.add(before, slope))
      if (before !== undefined) tf.dispose([before, slope])
    }
    for (const { id } of operation.outputs) {
      slopes.get(id)?.dispose()
      slopes.delete(id)
    }
    tf.dispose([...operation.saved])
  }
  return slopes
}

/** Evaluates `scalar`, which reads `parameters`, and differentiates it. Synchronous; call it inside a kernel. */
export const valueAndGradients = (parameters: Parameters, scalar: () => tf.Scalar): ValueAndGradients => {
  const names = Object.keys(parameters)
  const values = names.map((name) => parameter(parameters, name))
  const { tape, value } = record(scalar)
  try {
    const slopes = backpropagate(value, tape, reached(tape, values.map(({ id }) => id)))
    return {
      value: value.dataSync()[0]!,
      gradients: Object.fromEntries(names.map((name, i) => [name, slopes.get(values[i]!.id) ?? tf.zerosLike(values[i]!)]))
    }
  } finally {
    // After a failure some are still there.
    releaseSaved(tape)
  }
}
