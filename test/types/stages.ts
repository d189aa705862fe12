/**
 * What the compiler refuses, checked by the type check: a line below `@ts-expect-error` that compiled would be an error.
 */
import { Effect, Stream } from "effect"
import {
  Backend, batch, type BatchShapeError, corrupt, type CorruptionOptions, embed, type EmbedError, type Encoder,
  type LabelledSequence, type LatentBatch, Network, pack, Parquet, Pretrained, sample, selfCondition, type Stage, TimeGrid,
  tokenize, type TokenizeError, type Tokenizer, train, type TrainOptions
} from "elf-streams"

declare const texts: Stream.Stream<string>
declare const labelled: Stream.Stream<LabelledSequence>
declare const noise: CorruptionOptions & { readonly seed: number }
declare const options: TrainOptions

/** Fails to compile unless both types are the same. */
const same = <A>() => <B>(_: [A] extends [B] ? ([B] extends [A] ? true : false) : false): void => {}

// The right order compiles, and failures and services add up.
const packed = texts.pipe(tokenize, pack({ length: 8, endOfSequenceId: 1, padId: 0 }))
const batches = labelled.pipe(embed({ batchSize: 2 }), batch({ size: 2 }))
const trained = batches.pipe(corrupt(noise), selfCondition, train(options))
same<Stream.Error<typeof batches>>()<EmbedError | BatchShapeError>(true)
same<Stream.Services<typeof batches>>()<Encoder>(true)
same<Stream.Services<typeof packed>>()<Tokenizer>(true)
same<Extract<Stream.Error<typeof packed>, TokenizeError>>()<TokenizeError>(true)

// A wrong order does not.
// @ts-expect-error: ids are packed, not texts
texts.pipe(pack({ length: 8, endOfSequenceId: 1, padId: 0 }))
// @ts-expect-error: packed sequences are no texts
packed.pipe(tokenize)
// @ts-expect-error: a batch is made of embedded rows
packed.pipe(batch({ size: 2 }))
// @ts-expect-error: training needs corrupted, self-conditioned batches
batches.pipe(train(options))
// @ts-expect-error: self-conditioning comes between noise and training
batches.pipe(corrupt(noise), train(options))
// @ts-expect-error: a sampler follows time steps
texts.pipe(sample({ keys: [0], seed: 0 }))

// A stage may be less than its type asks for, never more.
const quiet: Stage<LatentBatch, LatentBatch, BatchShapeError> = Stream.map((each: LatentBatch) => each)
// @ts-expect-error: it needs a network that its type does not mention
const hidden: Stage<LatentBatch, LatentBatch> = Stream.mapEffect((each: LatentBatch) => Effect.as(Network, each))

// A program runs only when everything it needs is provided.
const answers = Parquet.read("prompts.parquet", { column: "prompt" }).pipe(Pretrained.generate(Pretrained.sotu), Stream.runDrain)
Effect.runFork(answers.pipe(Effect.provide(Backend.layer)))
// @ts-expect-error: the backend is missing
Effect.runFork(answers)

// Nothing random goes without a seed or a source.
// @ts-expect-error: no seed
TimeGrid.logitNormal({ steps: 4 })

export { hidden, quiet, trained }
