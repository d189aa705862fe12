/**
 * What is done with the texts of a unit: four tasks behind one shape.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import type { Parquet, RunConfig } from "../../io/index.ts"
import type { Backend } from "../../model/Backend.ts"
import type { EmbedError, Encoder } from "../../model/Encoder.ts"
import type { Network } from "../../model/Network.ts"
import type { TokenizeError, Tokenizer } from "../../model/Tokenizer.ts"
import { answerWindow, type Generated } from "../../streams/generate.ts"
import { generatePlan } from "../../streams/generatePlan.ts"
import { type Encoded, encodeWindow } from "../../streams/encode.ts"
import { fillTemplates, type Infilled } from "../../streams/infill.ts"
import { type Scored, scoreWindow } from "../../streams/score.ts"
import { blank } from "../../streams/Template.ts"
import { corruptionOptions } from "../corruption.ts"
import { generateOptions, infillOptions, type SamplerChoice } from "../sampling.ts"
import type { InferenceRequest } from "./request.ts"
import { drawKey } from "./rowKey.ts"

/** A row with a text (empty for `generate`) and the key of its draws. */
export interface KeyedText {
  readonly text: string
  readonly key: number
}

/** The added columns of one row and what it took. */
export interface Result {
  readonly columns: Readonly<Record<string, unknown>>
  /** Tokens of the result: those of an answer, or of the text that was read. */
  readonly tokens: number
  /** Tokens that the encoder saw, and positions that it was given for them. */
  readonly promptTokens: number
  readonly promptPositions: number
}

/** What every task needs. */
export type TaskServices = Backend | Network | Encoder | Tokenizer

/** A task, ready for windows of rows. */
export interface Work {
  /** The added columns, the largest first. */
  readonly schema: Readonly<Record<string, Parquet.ColumnType>>
  /** The added columns of a row without a result. */
  readonly blank: Result["columns"]
  /** Rows that are worked on at once; changes no result. */
  readonly window: number
  /** A result for each row, in order. `seen` is told how many rows are through, and their results. */
  readonly run: (rows: ReadonlyArray<KeyedText>, seen: (results: ReadonlyArray<Result>) => Effect.Effect<void>) => Effect.Effect<ReadonlyArray<Result>, EmbedError | TokenizeError, TaskServices>
}

/** Rows that are sorted by length together, and encoded into one page of the part. */
const window = 1024


/** Latents that are held at once, in numbers. */
const largestWindow = 1 << 20

/** What a task is made from. */
export interface TaskSettings {
  readonly request: InferenceRequest
  readonly run: RunConfig.RunConfig
  readonly choice: SamplerChoice
}

const answerSchema = { answer: "string?", tokens: "int32?", seed: "int64" } as const

const sampleWork = ({ choice, request, run }: TaskSettings): Work => {
  const plan = generatePlan(generateOptions(run, choice, request.batchSize ?? 16))
  const result = ({ answer, promptPositions, promptTokens, tokens }: Generated): Result =>
    ({ columns: { answer, tokens, seed: choice.seed }, tokens, promptTokens, promptPositions })
  return {
    schema: answerSchema,
    blank: { answer: null, tokens: null, seed: choice.seed },
    window,
    run: (rows, seen) =>
      Effect.map(
        answerWindow(rows.map(({ key, text }) => ({ key, prompt: text })), 0, plan, (some) => seen(some.map(result))),
        (answers) => answers.map(result)
      )
  }
}

const generateWork = ({ choice, request, run }: TaskSettings): Work => {
  const plan = generatePlan(infillOptions(run, choice, request.batchSize ?? 16))
  const result = ({ answer, tokens }: Infilled): Result =>
    ({ columns: { answer, tokens, seed: choice.seed }, tokens, promptTokens: 0, promptPositions: 0 })
  return {
    schema: answerSchema,
    blank: { answer: null, tokens: null, seed: choice.seed },
    window,
    run: (rows, seen) =>
      fillTemplates(rows.map(({ key }) => ({ ...blank(0), key })), 0, plan, (some) => seen(some.map(result))).pipe(
        Effect.map((texts) => texts.map(result)),
        // An empty template always fits; the length was compared with the network's when the inference was opened.
        Effect.catchTag("TemplateError", Effect.die)
      )
  }
}

const encodeWork = ({ request, run }: TaskSettings): Work => {
  const { pool = "none" } = request
  const { length, textWidth } = run.model
  const name = pool === "mean" ? "embedding" : "latents"
  const result = ({ latents, positions, tokens }: Encoded): Result =>
    ({ columns: { [name]: latents, tokens }, tokens, promptTokens: tokens, promptPositions: positions })
  return {
    schema: { [name]: "list<float>?", tokens: "int32?" },
    blank: { [name]: null, tokens: null },
    window: pool === "mean" ? window : Math.max(1, Math.min(window, Math.floor(largestWindow / (length * textWidth)))),
    run: (rows, seen) =>
      Effect.map(
        encodeWindow(rows.map(({ text }) => text), 0, { length, pool, batchSize: request.batchSize ?? 16 }, (some) => seen(some.map(result))),
        (encoded) => encoded.map(result)
      )
  }
}

const scoreWork = ({ choice, request, run }: TaskSettings): Work => {
  const { draws = 4 } = request
  const options = { ...corruptionOptions(run), seed: choice.seed, draws, batchSize: request.batchSize ?? 16 }
  const result = ({ denoiserLoss, tokens }: Scored): Result =>
    ({ columns: { denoiserLoss, tokens, seed: choice.seed }, tokens, promptTokens: tokens, promptPositions: run.model.length })
  return {
    schema: { denoiserLoss: "double?", tokens: "int32?", seed: "int64" },
    blank: { denoiserLoss: null, tokens: null, seed: choice.seed },
    window,
    run: (rows, seen) => {
      const texts = rows.map(({ key, text }) => ({ text, keys: Array.from({ length: draws }, (_, draw) => drawKey(key, draw)) }))
      return Effect.map(scoreWindow(texts, 0, options, (some) => seen(some.map(result))), (scored) => scored.map(result))
    }
  }
}

const works: Readonly<Record<InferenceRequest["task"], (settings: TaskSettings) => Work>> =
  { sample: sampleWork, generate: generateWork, encode: encodeWork, score: scoreWork }

/** The work of a request. */
export const workOf = (settings: TaskSettings): Work => works[settings.request.task](settings)
