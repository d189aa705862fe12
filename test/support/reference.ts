/** The reference's models and encoder in test/fixtures, on the test engine. */
import { Layer } from "effect"
import * as reference from "../../bench/parity/reference.ts"
import type { T5Weights } from "../../src/model/Encoder.ts"
import { type ElfWeights, Network } from "../../src/model/Network.ts"
import { testEngine } from "./backend.ts"
import { directory } from "./fixtures.ts"

export type { CorruptionSettings } from "../../bench/parity/reference.ts"

/** The model `model` or `model_variant`. */
export const referenceWeights = (name: string): ElfWeights => reference.referenceWeights(directory, name)

/** The model as the network, on the test engine. */
export const referenceNetwork = (name: string) => Layer.provideMerge(Network.layer(referenceWeights(name)), testEngine)

/** The T5 encoder of the reference's cases. */
export const referenceT5 = (): T5Weights => reference.referenceT5(directory)
