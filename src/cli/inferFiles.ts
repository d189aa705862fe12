/**
 * `elf infer`: a parquet file of prompts to a parquet file of answers, for every input file.
 */
import { Clock, Effect, Schema, Stream } from "effect"
import { basename, join, resolve } from "node:path"
import { Parquet, type RunConfig } from "../io/index.ts"
import * as Pretrained from "../run/Pretrained.ts"
import { samplerChoice, generateOptions, type SamplerChoice } from "../run/sampling.ts"
import { type Generated, generate } from "../streams/generate.ts"
import { duration, rateSince, readable, report } from "./progress.ts"

/** What to answer, and where the answers go. */
export interface InferRequest {
  readonly checkpoint: string
  readonly input: string
  readonly column: string
  /** Folder; it gets one file for each input file, under the same name. */
  readonly output: string
  readonly batchSize: number
  readonly change: Partial<SamplerChoice>
}

/** One finished file. */
export interface AnsweredFile {
  readonly input: string
  readonly output: string
  readonly rows: number
  readonly tokens: number
}

/** What a finished inference did. */
export interface InferSummary {
  readonly files: ReadonlyArray<AnsweredFile>
  readonly rows: number
  readonly seconds: number
}

/** An output would overwrite an input or another output. */
class OutputClashError extends Schema.TaggedError<OutputClashError>()("OutputClashError", {
  output: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.output} cannot be written: ${this.detail}. Choose another --output folder.`
  }
}

const outputSchema = { index: "int32", prompt: "string", answer: "string", tokens: "int32" } as const

const checkOutputs = (inputs: ReadonlyArray<string>, folder: string) => {
  const outputs = inputs.map((input) => join(folder, basename(input)))
  const twice = outputs.find((output, i) => outputs.indexOf(output) !== i)
  const own = outputs.find((output) => inputs.some((input) => resolve(input) === resolve(output)))
  if (twice !== undefined) return Effect.fail(new OutputClashError({ output: twice, detail: "two input files have this name" }))
  return own === undefined ? Effect.succeed(outputs) : Effect.fail(new OutputClashError({ output: own, detail: "it is an input file" }))
}

const rowsOf = (path: string) =>
  Effect.scoped(Effect.map(Parquet.open(path), ({ rowGroups }) => rowGroups.reduce((sum, { rows }) => sum + rows, 0)))

/** Writes a line at most every two seconds, when a batch is complete: its rows come all at once. */
const watcher = (file: string, total: number, batchSize: number) =>
  Effect.map(Clock.currentTimeMillis, (started) => {
    const rate = rateSince(started, 0, total)
    let shown = started
    return ({ index }: Generated) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const done = index + 1
        if (done < total && (done % batchSize !== 0 || now - shown < 2000)) return Effect.void
        shown = now
        const { perSecond, secondsLeft } = rate(now, done)
        return report(`${basename(file)}  row ${done}/${total}  ${readable(perSecond)} rows/s  ETA ${duration(secondsLeft)}`)
      })
  })

const answerFile = Effect.fnUntraced(function*(request: InferRequest, run: RunConfig.RunConfig, choice: SamplerChoice, input: string, output: string) {
  const watch = yield* watcher(input, yield* rowsOf(input), request.batchSize)
  let tokens = 0
  const written = yield* Parquet.read(input, { column: request.column }).pipe(
    generate(generateOptions(run, choice, request.batchSize)),
    Stream.tap(watch),
    Stream.tap((row) => Effect.sync(() => void (tokens += row.tokens))),
    Parquet.write(output, { schema: outputSchema, metadata: { "elf-streams": JSON.stringify({ checkpoint: basename(request.checkpoint), ...choice }) } }),
    Stream.runCollect
  )
  return { input, output, tokens, rows: written.at(-1)?.rows ?? 0 } satisfies AnsweredFile
})

/** Answers every row of every input file; a file is published whole or not at all. */
export const inferFiles = Effect.fnUntraced(function*(request: InferRequest) {
  const inputs = yield* Parquet.files(request.input)
  const outputs = yield* checkOutputs(inputs, request.output)
  const { layer, run } = yield* Pretrained.open(request.checkpoint)
  const choice = samplerChoice(run, request.change)
  const started = yield* Clock.currentTimeMillis
  const files = yield* Effect.forEach(inputs, (input, i) => answerFile(request, run, choice, input, outputs[i]!)).pipe(
    Effect.provide(layer)
  )
  const seconds = ((yield* Clock.currentTimeMillis) - started) / 1000
  return { files, seconds, rows: files.reduce((sum, { rows }) => sum + rows, 0) } satisfies InferSummary
})
