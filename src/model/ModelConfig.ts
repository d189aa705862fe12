/**
 * The shape of an ELF network: its sizes, the parameters that follow from them, and the three published sizes.
 */

/** Sizes of the ELF transformer. All are positive integers. @source `modules/model.py`, `ELF.__init__` */
export interface ModelConfig {
  /** Width of the transformer's residual stream. */
  readonly hidden: number
  /** Number of transformer blocks. */
  readonly depth: number
  /** Attention heads; divides `hidden`, and `hidden / heads` is even (rotary embedding turns pairs). */
  readonly heads: number
  /** D, the width of the encoder's latents. */
  readonly textWidth: number
  /** Width of the bottleneck between latents and residual stream. */
  readonly bottleneck: number
  /** S, the number of text positions. */
  readonly length: number
  readonly timeTokens: number
  /** 0 makes the variant without self-conditioning-scale tokens. */
  readonly selfConditionScaleTokens: number
  readonly modeTokens: number
  /** V, the number of token ids that the decoder head tells apart. */
  readonly vocabulary: number
  /** The feed-forward layer's nominal width over `hidden`; its inner width is two thirds of that. */
  readonly feedForwardRatio: number
}

/** What the published sizes have in common. */
const published = {
  textWidth: 512,
  bottleneck: 128,
  length: 1024,
  timeTokens: 4,
  selfConditionScaleTokens: 4,
  modeTokens: 4,
  vocabulary: 32_100,
  feedForwardRatio: 4
}

/** The published model sizes by name. @source `modules/model.py`, `ELF_B`, `ELF_M`, `ELF_L` */
export const presets = {
  "ELF-B": { ...published, depth: 12, hidden: 768, heads: 12 },
  "ELF-M": { ...published, depth: 24, hidden: 1056, heads: 16 },
  "ELF-L": { ...published, depth: 32, hidden: 1280, heads: 16 }
} as const satisfies Record<string, ModelConfig>

/** Width of one attention head. */
export const headSize = (config: ModelConfig): number => config.hidden / config.heads

/** Inner width of the SwiGLU layer: both roundings are the reference's. @source `modules/layers.py`, `SwiGLUFFN` */
export const feedForwardInner = (config: ModelConfig): number =>
  Math.trunc((Math.trunc(config.hidden * config.feedForwardRatio) * 2) / 3)

/** Width of the sinusoidal embedding that time and self-conditioning scale pass through. */
export const frequencyWidth = 256

const linear = (name: string, outputs: number, inputs: number): ReadonlyArray<readonly [string, ReadonlyArray<number>]> => [
  [`${name}.weight`, [outputs, inputs]],
  [`${name}.bias`, [outputs]]
]

const embedderShapes = (name: string, hidden: number) => [
  ...linear(`${name}.mlp_0`, hidden, frequencyWidth),
  ...linear(`${name}.mlp_2`, hidden, hidden)
]

const blockShapes = (config: ModelConfig, index: number): ReadonlyArray<readonly [string, ReadonlyArray<number>]> => {
  const { hidden } = config
  const inner = feedForwardInner(config)
  const at = (name: string) => `blocks.${index}.${name}`
  return [
    [at("norm1.weight"), [hidden]],
    ...linear(at("attn.qkv"), 3 * hidden, hidden),
    [at("attn.q_norm.weight"), [headSize(config)]],
    [at("attn.k_norm.weight"), [headSize(config)]],
    ...linear(at("attn.proj"), hidden, hidden),
    [at("norm2.weight"), [hidden]],
    ...linear(at("mlp.w12"), 2 * inner, hidden),
    ...linear(at("mlp.w3"), hidden, inner)
  ]
}

const learnedTokens = (name: string, count: number, hidden: number): ReadonlyArray<readonly [string, ReadonlyArray<number>]> =>
  count === 0 ? [] : [[name, [1, count, hidden]]]

/**
 * Every parameter's shape, in the reference's order and under its names, so that checkpoints interchange.
 * `….weight` of a linear layer is `[outputs, inputs]`; `proj_kernel` and `unembed_kernel` are `[inputs, outputs]`.
 * @source `modules/model.py`, `ELF.__init__`
 */
export const parameterShapes = (config: ModelConfig): ReadonlyMap<string, ReadonlyArray<number>> =>
  new Map([
    ...learnedTokens("t_emb_tokens", config.timeTokens, config.hidden),
    ...learnedTokens("self_cond_cfg_tokens", config.selfConditionScaleTokens, config.hidden),
    ...learnedTokens("mode_tokens", config.modeTokens, config.hidden),
    ["proj_kernel", [config.hidden, config.textWidth]],
    ["proj_bias", [config.textWidth]],
    ["unembed_kernel", [config.textWidth, config.vocabulary]],
    ["unembed_bias", [config.vocabulary]],
    ...linear("self_cond_proj", config.textWidth, 2 * config.textWidth),
    ["text_proj.proj1.weight", [config.bottleneck, config.textWidth]],
    ...linear("text_proj.proj2", config.hidden, config.bottleneck),
    ...embedderShapes("t_embedder", config.hidden),
    ...(config.selfConditionScaleTokens > 0 ? embedderShapes("self_cond_cfg_embedder", config.hidden) : []),
    ...Array.from({ length: config.depth }, (_, index) => blockShapes(config, index)).flat(),
    ["final_layer.norm_final.weight", [config.hidden]],
    ...linear("final_layer.linear", config.textWidth, config.hidden)
  ])

/** Number of trainable numbers in the network. */
export const parameterCount = (config: ModelConfig): number =>
  Array.from(parameterShapes(config).values(), (shape) => shape.reduce((a, b) => a * b, 1)).reduce((a, b) => a + b, 0)
