/**
 * The sizes of a network, read off the shapes of its parameters.
 *
 * Only the number of text positions leaves no trace in them: the positions are rotated, not learned.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { Checkpoint } from "../io/index.ts"
import { feedForwardInner, type ModelConfig, parameterShapes } from "../model/ModelConfig.ts"
import { ConvertError, failing, parametersError } from "./ConvertError.ts"

/** Parameters by name, as far as their shapes matter. */
export type Shapes = ReadonlyMap<string, { readonly shape: ReadonlyArray<number> }>

/** Everything but the length. */
export type NetworkSizes = Omit<ModelConfig, "length">

type Anchor = readonly [name: string, axis: number]

/** Where each size can be read; the first parameter that is there decides. */
const anchors: Readonly<Record<"hidden" | "textWidth" | "vocabulary" | "bottleneck" | "headSize" | "inner", ReadonlyArray<Anchor>>> = {
  hidden: [["proj_kernel", 0], ["text_proj.proj2.weight", 0], ["final_layer.norm_final.weight", 0]],
  textWidth: [["proj_kernel", 1], ["proj_bias", 0], ["unembed_kernel", 0]],
  vocabulary: [["unembed_kernel", 1], ["unembed_bias", 0]],
  bottleneck: [["text_proj.proj1.weight", 0], ["text_proj.proj2.weight", 1]],
  headSize: [["blocks.0.attn.q_norm.weight", 0], ["blocks.0.attn.k_norm.weight", 0]],
  inner: [["blocks.0.mlp.w3.weight", 1]]
}

const sizeAt = (shapes: Shapes, places: ReadonlyArray<Anchor>): number | undefined =>
  places.map(([name, axis]) => shapes.get(name)?.shape[axis]).find((size) => size !== undefined && size > 0)

/** Highest block and one; a number that no file of this many tensors can have counts as a misnamed block. */
const depthOf = (shapes: Shapes): number => {
  const blocks = new Set(Array.from(shapes.keys(), (name) => /^blocks\.(\d+)\./.exec(name)?.[1]).filter((index) => index !== undefined).map(Number))
  const highest = Math.max(-1, ...blocks)
  return highest < shapes.size ? highest + 1 : blocks.size
}

const ratioOf = (hidden: number, inner: number, wanted: number | undefined): number => {
  const fits = (ratio: number | undefined) => ratio !== undefined && feedForwardInner({ hidden, feedForwardRatio: ratio } as ModelConfig) === inner
  return [wanted, 4].find(fits) ?? (Math.ceil(inner * 1.5) + 0.5) / hidden
}

/** Reads the sizes; `wanted` says which of several equal feed-forward ratios is meant. */
const readSizes = (shapes: Shapes, path: string, wanted: ModelConfig | undefined): NetworkSizes => {
  const fail = failing(path)
  const size = (name: keyof typeof anchors): number => {
    const found = sizeAt(shapes, anchors[name])
    if (found !== undefined) return found
    const names = anchors[name].map(([anchor]) => anchor).join(", ")
    const first = [...shapes.keys()].slice(0, 5).join(", ").slice(0, 200)
    throw fail("parameters", `its tensors are not the parameters of an ELF network: ${names} missing (it has ${shapes.size}${first === "" ? "" : `: ${first}, …`})`, "use a whole checkpoint")
  }
  const tokens = (name: string): number => shapes.get(name)?.shape[1] ?? 0
  const [hidden, headSize] = [size("hidden"), size("headSize")]
  if (hidden % headSize !== 0) throw fail("sizes", `heads of ${headSize} do not divide the network's width ${hidden}`, "use a whole checkpoint")
  return {
    hidden,
    depth: depthOf(shapes),
    heads: hidden / headSize,
    textWidth: size("textWidth"),
    bottleneck: size("bottleneck"),
    timeTokens: tokens("t_emb_tokens"),
    selfConditionScaleTokens: tokens("self_cond_cfg_tokens"),
    modeTokens: tokens("mode_tokens"),
    vocabulary: size("vocabulary"),
    feedForwardRatio: ratioOf(hidden, size("inner"), wanted?.feedForwardRatio)
  }
}

const differences = (sizes: NetworkSizes, wanted: ModelConfig): ReadonlyArray<string> =>
  (Object.keys(sizes) as ReadonlyArray<keyof NetworkSizes>)
    .filter((key) => sizes[key] !== wanted[key])
    .map((key) => `model.${key} is ${wanted[key]} in the configuration and ${sizes[key]} in the tensors`)

/** The sizes of the network in `shapes`; fails where they are not those of `wanted`. */
export const sizesOf = (shapes: Shapes, path: string, wanted?: ModelConfig): Effect.Effect<NetworkSizes, ConvertError> =>
  Effect.try({
    try: () => {
      const sizes = readSizes(shapes, path, wanted)
      const wrong = wanted === undefined ? [] : differences(sizes, wanted)
      if (wrong.length === 0) return sizes
      throw failing(path)("sizes", `the configuration is that of another network: ${wrong.join("; ")}`, "give the run file that the network was trained by")
    },
    catch: (cause) => cause instanceof ConvertError ? cause : failing(path)("parameters", String(cause), "use a whole checkpoint")
  })

/** Succeeds if `shapes` are all parameters of such a network and nothing else; the error lists every difference. */
export const checkParameters = (shapes: Shapes, sizes: NetworkSizes, path: string, section: string): Effect.Effect<void, ConvertError> => {
  const found = Checkpoint.mismatches(shapes, Object.fromEntries(parameterShapes({ ...sizes, length: 1 })))
  return found.length === 0 ? Effect.void : Effect.fail(parametersError(path, section, found))
}
