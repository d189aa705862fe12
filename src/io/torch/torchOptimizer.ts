/**
 * The optimiser's state in a PyTorch checkpoint, which is kept by index: whose momentum is whose.
 *
 * `state[i]` belongs to the i-th parameter of all `param_groups` in turn. A single process keeps the order of
 * `named_parameters` within each group: Muon's matrices first, then the rest. With `torchrun`, muon 0.1.0 sorts its
 * matrices by size and each process keeps the state of its own share only; such a state is recognised by shapes that do
 * not fit or entries that are missing, and left out. Shapes that fit prove the order: the sort is stable, so a sorted
 * list with the shapes of the unsorted one is the unsorted one.
 *
 * @source `utils/muon_utils.py`, `muon_with_aux_adam`; `torch/optim/optimizer.py`, `Optimizer.state_dict`
 * @since 0.1.0
 */
import { type PickleDict, type PickleValue, TorchTensor } from "./pickleValues.ts"

/** Moments under this library's names: `momentum/…`, `mean/…`, `variance/…`. */
export interface TorchMoments {
  readonly kind: "muon" | "adamw"
  /** `step` of each parameter: a number with Muon, a tensor of one element with torch.optim.AdamW. */
  readonly counts: ReadonlyArray<number | TorchTensor>
  readonly moments: PickleDict
}

/** What was found, or a sentence that says why it is left out. */
export interface MomentsResult {
  readonly found?: TorchMoments
  readonly notes: ReadonlyArray<string>
}

interface Slot {
  readonly name: string
  readonly shape: ReadonlyArray<number>
  readonly muon: boolean
}

const isDict = (value: PickleValue | undefined): value is PickleDict => value instanceof Map

/** Nothing, and the sentence that says why. */
export const leftOut = (why: string): MomentsResult => ({ notes: [`The optimiser's state is left out: ${why}.`] })

const slotsOf = (groups: PickleValue | undefined, params: PickleDict): { readonly kind: "muon" | "adamw"; readonly slots: ReadonlyArray<Slot> } | undefined => {
  if (!Array.isArray(groups) || !groups.every(isDict)) return undefined
  const named = Array.from(params, ([name, tensor]) => ({ name: String(name), shape: tensor instanceof TorchTensor ? tensor.shape : [] }))
  const [first, second] = groups
  if (groups.length === 1 && !first!.has("use_muon")) return { kind: "adamw", slots: named.map((slot) => ({ ...slot, muon: false })) }
  if (groups.length !== 2 || first!.get("use_muon") !== true || second!.get("use_muon") !== false) return undefined
  const matrices = named.filter(({ shape }) => shape.length === 2).map((slot) => ({ ...slot, muon: true }))
  const others = named.filter(({ shape }) => shape.length !== 2).map((slot) => ({ ...slot, muon: false }))
  return { kind: "muon", slots: [...matrices, ...others] }
}

const partsOf = ({ muon }: Slot): ReadonlyArray<readonly [theirs: string, ours: string]> =>
  muon ? [["momentum_buffer", "momentum"]] : [["exp_avg", "mean"], ["exp_avg_sq", "variance"]]

const sameShape = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): boolean => a.length === b.length && a.every((n, i) => n === b[i])

const indexed = (groups: ReadonlyArray<PickleValue>, slots: number): boolean => {
  const indices = groups.flatMap((group) => isDict(group) && Array.isArray(group.get("params")) ? group.get("params") as Array<PickleValue> : [])
  return indices.length === slots && indices.every((index, i) => index === i)
}

/** The moments of an `opt_state`, for parameters in the order of their state_dict. */
export const momentsOf = (optimizer: PickleValue | undefined, params: PickleDict): MomentsResult => {
  if (optimizer == null) return { notes: [] }
  const [state, groups] = isDict(optimizer) ? [optimizer.get("state"), optimizer.get("param_groups")] : []
  const order = slotsOf(groups, params)
  if (!isDict(state) || order === undefined || !indexed(groups as Array<PickleValue>, order.slots.length)) {
    return leftOut("it is neither that of the reference's Muon nor that of AdamW")
  }
  if (state.size === 0) return leftOut("it holds no moments yet")
  const moments: PickleDict = new Map()
  const counts: Array<number | TorchTensor> = []
  for (const [index, slot] of order.slots.entries()) {
    const entry = state.get(index)
    if (!isDict(entry)) return leftOut("it lacks parameters, as that of one process of several does")
    for (const [theirs, ours] of partsOf(slot)) {
      const moment = entry.get(theirs)
      if (!(moment instanceof TorchTensor) || !sameShape(moment.shape, slot.shape)) {
        return leftOut(`its entry ${index} does not fit ${slot.name}, as after training with several processes, which orders it differently`)
      }
      moments.set(`${ours}/${slot.name}`, moment)
    }
    const count = entry.get("step")
    if (typeof count !== "number" && !(count instanceof TorchTensor)) return leftOut(`its entry ${index} does not say its number of updates`)
    counts.push(count)
  }
  return { found: { kind: order.kind, counts, moments }, notes: [] }
}
