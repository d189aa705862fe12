/**
 * The figures by which texts are judged: no device, no input or output.
 *
 * @since 0.1.0
 */
export * as Bleu from "./Bleu.ts"
export * as Entropy from "./Entropy.ts"
export * as KneserNey from "./KneserNey.ts"
export * as Perplexity from "./Perplexity.ts"
export * as Rouge from "./Rouge.ts"
