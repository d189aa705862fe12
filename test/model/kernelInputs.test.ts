/** The kernels of this library refuse what does not fit them. */
import * as tf from "@tensorflow/tfjs-core"
import { assert, layer } from "@effect/vitest"
import { testEngine } from "../support/backend.ts"
import { kernels, lawfulWith } from "../support/ownKernels.ts"

/** Zeros for a trunk: 2 sequences of 2 control tokens and 3 others, a block of width 4 with 2 heads; those named are others. */
const trunkInputs = (changed: Readonly<Record<string, tf.Tensor>> = {}): Array<tf.Tensor> => {
  const shapes: Record<string, Array<number>> = {
    control: [2, 2, 4], cos: [5, 2], sin: [5, 2], narrow: [3, 4], narrowBias: [3], wide: [4, 3], wideBias: [4], latents: [2, 3, 4],
    norm1: [4], qkv: [12, 4], qkvBias: [12], queryNorm: [2], keyNorm: [2], proj: [4, 4], projBias: [4],
    norm2: [4], w12: [4, 4], w12Bias: [4], w3: [4, 2], w3Bias: [4]
  }
  return Object.entries(shapes).map(([name, shape]) => changed[name] ?? tf.zeros(shape))
}
const trunkLists = { halves: 1, weights: 12, exits: 0 }

layer(testEngine)("the kernels of this library", (it) => {
  const lawful = lawfulWith(it)

  lawful("refuse tensors that do not fit, and leave the process alive", () => {
    const run = kernels()
    assert.deepStrictEqual(run("ElfTrunk", trunkInputs(), 1, trunkLists)[0]!.shape, [2, 3, 4], "the trunk that is changed below")
    const f = (...shape: Array<number>) => tf.zeros(shape)
    const cases: ReadonlyArray<readonly [name: `Elf${string}`, inputs: ReadonlyArray<tf.Tensor>, outputs: number, lists?: Readonly<Record<string, number>>]> = [
      ["ElfRmsNorm", [f(3, 8), f(7)], 2],
      ["ElfRmsNorm", [f(3, 0), f(0)], 2],
      ["ElfRmsNormGradient", [f(3, 8), f(3, 8), f(8), f(300)], 2],
      ["ElfRmsNormGradient", [f(1, 8), f(3, 8), f(8), f(3)], 2],
      ["ElfGate", [f(3, 8), f(6)], 1],
      ["ElfGate", [f(3, 7), f(7)], 1],
      ["ElfGateGradient", [f(1, 4), f(3, 8), f(8)], 2],
      ["ElfResidual", [f(3, 8), f(2, 8), f(8)], 1],
      ["ElfResidual", [f(3, 8), f(3, 8), f(0)], 1],
      ["ElfColumnSum", [f(3, 0)], 1],
      ["ElfAttention", [f(2, 1, 3, 4), f(2, 1, 3, 4), f(2, 1, 4, 3)], 2],
      ["ElfAttention", [f(6, 4), f(6, 4), f(6, 4)], 2],
      ["ElfAttention", [f(0, 1, 3, 4), f(0, 1, 3, 4), f(0, 1, 3, 4)], 2],
      ["ElfAttentionGradient", [f(6, 3), f(2, 1, 3, 4), f(2, 1, 3, 4), f(2, 1, 3, 4), f(2, 2, 3)], 3],
      ["ElfAttentionGradient", [f(6, 4), f(2, 1, 3, 4), f(2, 1, 3, 4), f(2, 1, 3, 4), f(2, 2, 4)], 3],
      ["ElfHeads", [f(6, 24), f(24), f(4), f(4), f(5, 4), f(5, 4)], 4],
      ["ElfHeads", [f(6, 24), f(24), f(4), f(2), f(3, 4), f(3, 4)], 4],
      ["ElfHeads", [f(6, 24), f(20), f(4), f(4), f(3, 4), f(3, 4)], 4],
      ["ElfHeads", [f(6, 24), f(24), f(4), f(4), f(3, 4), f(1, 4)], 4],
      ["ElfHeads", [f(6, 24), f(24), f(4), f(4), f(0, 4), f(0, 4)], 4],
      ["ElfHeadsGradient", [f(1), f(1), f(1), f(6, 24), f(24), f(4), f(4), f(3, 4), f(3, 4), f(6, 4)], 4],
      ["ElfCrossEntropy", [f(3, 8), f(8), tf.tensor1d([0, 1, 8], "int32"), f(3)], 2],
      ["ElfCrossEntropy", [f(3, 8), f(8), tf.tensor1d([0, 1, -1], "int32"), f(3)], 2],
      ["ElfCrossEntropy", [f(2, 8), f(8), tf.tensor1d([0, 1, 2], "int32"), f(3)], 2],
      ["ElfCrossEntropy", [f(3, 8), f(8), f(3), f(3)], 2],
      ["ElfDecode", [f(3, 8), f(8, 5), f(4)], 1],
      ["ElfDecode", [f(3, 8), f(7, 5), f(5)], 1],
      ["ElfNewtonSchulz", [f(1, 4, 4), tf.tensor1d([0], "int32")], 1],
      ["ElfNewtonSchulz", [f(1, 0, 4), tf.tensor1d([5], "int32")], 1],
      ["ElfMuon", [f(4), f(1), f(4, 2), f(4, 2), f(4, 3)], 0, { count: 1 }],
      ["ElfMuon", [f(4), f(1), f(4, 2), f(4, 2), f(2, 4)], 0, { count: 1 }],
      ["ElfMuon", [f(4), f(1), f(0, 2), f(0, 2), f(0, 2)], 0, { count: 1 }],
      ["ElfMuon", [f(5), f(1), f(4, 2), f(4, 2), f(4, 2)], 0, { count: 1 }],
      ["ElfMuon", [f(4), f(2), f(4, 2), f(4, 2), f(4, 2)], 0, { count: 1 }],
      ["ElfScale", [f(3), f(2)], 0],
      ["ElfSquares", [], 1, { count: 0 }],
      ["ElfVelocity", [f(2, 3), f(2, 3), f(4), f()], 1],
      ["ElfVelocity", [f(2, 3), f(2, 4), f(2), f()], 1],
      ["ElfVelocityLoss", [f(2, 3, 4), f(2, 3, 4), f(2, 3, 4), f(2), f(2, 4), f()], 2],
      ["ElfVelocityLoss", [f(2, 3, 4), f(2, 3, 4), f(2, 3, 3), f(2), f(2, 3), f()], 2],
      ["ElfScalarTokens", [f(3), f(4), f(6, 8), f(6), f(6, 5), f(6), f(1, 2, 6)], 1],
      ["ElfScalarTokens", [f(3), f(4), f(6, 8), f(6), f(6, 6), f(6), f(2, 2, 6)], 1],
      ...["control", "cos", "narrow", "wide", "latents", "norm1", "qkv", "w12", "w3"].map((name) => ["ElfTrunk", trunkInputs({ [name]: f(7, 7, 7) }), 1, trunkLists] as const),
      ["ElfTrunk", trunkInputs({ control: f(2, 6, 4) }), 1, trunkLists],
      ["ElfTrunk", [...trunkInputs(), f(4)], 1, { ...trunkLists, exits: 1 }],
      ["ElfTrunk", [...trunkInputs(), f(4), f(5, 4), f(4)], 1, { ...trunkLists, exits: 3 }],
      ["ElfAdam", [f(4), f(4), f(4), f(5), f(9)], 0, { count: 1 }],
      ["ElfAdam", [f(4), f(4), f(4), f(4), f(8)], 0, { count: 1 }],
      ["ElfAverage", [f(4), f(3), f(1)], 0, { count: 1 }],
      ["ElfAverage", [f(4), f(4), f(2)], 0, { count: 1 }],
      ["ElfAddProduct", [f(3, 4), f(3, 5), f(4, 4)], 0],
      ["ElfAddProduct", [f(3, 4), f(2, 5), f(4, 5)], 0]
    ]
    for (const [name, inputs, outputs, lists] of cases) assert.throws(() => run(name, inputs, outputs, lists), /./, `${name} of ${inputs.map(({ shape }) => `[${shape}]`).join(" ")}`)
    assert.throws(() => run("ElfGelu", [f(2, 2), f(2, 2)], 1))
  })
})
