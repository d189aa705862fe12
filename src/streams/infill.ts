/**
 * Texts with blanks → whole texts: the given tokens' latents are the condition, at whatever positions they stand.
 */
import { Effect } from "effect"
import { requireArgument } from "../flow/errors.ts"
import type { Seeded } from "../flow/Random.ts"
import type { Backend } from "../model/Backend.ts"
import type { EmbedError, Encoder } from "../model/Encoder.ts"
import { Network } from "../model/Network.ts"
import { type TokenizeError, Tokenizer } from "../model/Tokenizer.ts"
import { givenLatents } from "./conditionLatents.ts"
import { type GenerateOptions, type GeneratePlan, generatePlan, lastTokens, textOf, type Watch, type Written } from "./generatePlan.ts"
import { batchesOf } from "./lengthBuckets.ts"
import type { SampleCondition } from "./sample.ts"
import type { Stage } from "./Stage.ts"
import { allGiven, blank, hasGiven, joined, type Template, TemplateError, withGiven } from "./Template.ts"
import { byWindow } from "./windows.ts"

/** How long a filled text is. */
export interface Ending {
  /**
   * Tokens of each text, exactly, 1 to S: a shorter template goes on with a blank. No token of it becomes EOS or padding,
   * and the network is given an EOS behind it. `"template"`: as many as the template has. Absent: the template goes on
   * until the network writes an EOS, or to the end of its S positions.
   */
  readonly length?: number | "template"
  /** What rows were filled up with in training: behind the end of a text one EOS is given, or nothing but EOS. Default `"pad"`. */
  readonly padding?: "pad" | "eos"
}

/** How blanks are filled. */
export interface InfillOptions extends Omit<GenerateOptions, "maximumCondition" | "window">, Ending {}

/** A template with a key of its own. */
export interface KeyedTemplate extends Template {
  /** The key of the row's draws: an integer in [0, 2^52). */
  readonly key: number
}

/** A filled template. */
export interface Infilled extends Written {
  /** Position in the stream, from 0. */
  readonly index: number
  /** The key of the row's draws: the template's own, or its index. */
  readonly key: number
  /** The text's token ids `[N]`; the given ones as they were given. */
  readonly ids: Int32Array
  /** Index of the step after which the row was settled; −1: it went all the way. */
  readonly settledAt: number
}

/** A template as the network gets it, `[S]`, and how many of its tokens are the text; undefined: up to EOS. */
interface Fitted {
  readonly row: Template
  readonly length: number | undefined
}

const tooLong = (index: number, detail: string, remedy: string) => new TemplateError({ where: `Template ${index}`, detail, remedy })

/** What stands behind a text of a given length: one EOS and a blank, or EOS up to the end. */
const rest = (positions: number, endOfSequenceId: number, padding: "pad" | "eos"): Template => {
  const held = allGiven(new Int32Array(padding === "eos" ? positions : Math.min(1, positions)).fill(endOfSequenceId))
  return joined([held, blank(positions - held.ids.length)])
}

const fit = Effect.fnUntraced(function*(template: Template, index: number, options: Ending) {
  const { endOfSequenceId } = yield* Tokenizer
  const { length: positions } = (yield* Network).elf.config
  const tokens = template.ids.length
  const length = options.length === "template" ? tokens : options.length
  if (tokens > (length ?? positions)) {
    return yield* tooLong(index, `it has ${tokens} tokens, and the text is to have ${length ?? positions}`, "Shorten it, or its blanks")
  }
  if (length === undefined) return { row: joined([template, blank(positions - tokens)]), length } satisfies Fitted
  if (length > positions) return yield* tooLong(index, `its text is to have ${length} tokens, and the network has ${positions} positions`, "Ask for fewer")
  return {
    length,
    row: joined([template, blank(length - tokens), rest(positions - length, endOfSequenceId, options.padding ?? "pad")])
  } satisfies Fitted
})

const conditionOf = Effect.fnUntraced(function*(rows: ReadonlyArray<Template>) {
  if (!rows.some(hasGiven)) return undefined
  const { padId } = yield* Tokenizer
  const { length } = (yield* Network).elf.config
  const latents = yield* givenLatents(rows, length, padId)
  return { latents, mask: Float32Array.from(rows.flatMap(({ given }) => [...given])) } satisfies SampleCondition
})

/** The tokens of the text: as many as it was to have, or up to the first EOS behind the template. */
const textIds = (ids: Int32Array, { length, row }: Fitted, template: Template, endOfSequenceId: number): Int32Array => {
  const whole = withGiven(ids, row)
  if (length !== undefined) return whole.slice(0, length)
  const end = whole.indexOf(endOfSequenceId, template.ids.length)
  return end === -1 ? whole : whole.slice(0, end)
}

/** The given tokens of rows as a condition; undefined where none is given. */
type Given<E, R> = (rows: ReadonlyArray<Template>) => Effect.Effect<SampleCondition | undefined, E, R>

const fillBatch = Effect.fnUntraced(function*<E1, R1, E, R>(given: Given<E1, R1>, templates: ReadonlyArray<KeyedTemplate>, first: number, plan: InfillPlan, watch?: Watch<E, R>) {
  const { endOfSequenceId, padId } = yield* Tokenizer
  const fitted = yield* Effect.forEach(templates, (template, i) => fit(template, first + i, plan))
  const condition = yield* given(fitted.map(({ row }) => row))
  const answer = plan.length === undefined ? { endOfSequenceId } : { without: [endOfSequenceId, padId] }
  const { ids, settledAt } = yield* lastTokens(templates.map(({ key }) => key), condition, plan, answer, watch)
  return yield* Effect.forEach(templates, (template, i) => {
    const own = textIds(ids[i]!, fitted[i]!, template, endOfSequenceId)
    return Effect.map(textOf(own), (written): Infilled => ({ ...written, index: first + i, key: template.key, ids: own, settledAt: settledAt?.[i] ?? -1 }))
  })
})

/** {@link InfillOptions} with the draws and the grid fixed. */
export type InfillPlan = InfillOptions & GeneratePlan

const fillWith = Effect.fnUntraced(function*<E1, R1, E = never, R = never>(
  given: Given<E1, R1>,
  templates: ReadonlyArray<KeyedTemplate>,
  first: number,
  plan: InfillPlan,
  seen: (texts: ReadonlyArray<Infilled>) => Effect.Effect<void> = () => Effect.void,
  watch?: Watch<E, R>
) {
  const texts: Array<Infilled> = []
  for (const batch of batchesOf(templates, plan.batchSize ?? 16)) {
    const filled = yield* fillBatch(given, batch, first + texts.length, plan, texts.length === 0 ? watch : undefined)
    texts.push(...filled)
    yield* seen(filled)
  }
  return texts
})

/** Is told of each batch of texts. */
type Seen = (texts: ReadonlyArray<Infilled>) => Effect.Effect<void>

/** Fills templates, `batchSize` at once, in order; `seen` is told of each batch, `watch` of each state of the first one. */
export const fillTemplates = <E = never, R = never>(templates: ReadonlyArray<KeyedTemplate>, first: number, plan: InfillPlan, seen?: Seen, watch?: Watch<E, R>) =>
  fillWith(conditionOf, templates, first, plan, seen, watch)

/** {@link fillTemplates} of all-blank templates with these keys. Nothing is given, so no encoder is needed; a text of a given length has an EOS given behind it. */
export const writeFromNoise = <E = never, R = never>(keys: ReadonlyArray<number>, plan: InfillPlan, seen?: Seen, watch?: Watch<E, R>) => {
  requireArgument(plan.length === undefined, "writeFromNoise.length", "absent", plan.length)
  return fillWith(() => Effect.succeed(undefined), keys.map((key) => ({ ...blank(0), key })), 0, plan, seen, watch)
}

/**
 * Fills the blanks of each template. The given tokens see each other in the encoder, at their own positions, and nothing
 * of the blanks; they do not move, and come back exactly as they were given. A row's text depends on its template and its
 * key (for a template without one its index), not on its batch.
 *
 * **Gotchas** Published networks were trained on conditions that are prefixes, or on none. They fill other blanks as
 * well as they can: the latents before a given token are free, and are made to fit it.
 *
 * @source ELF `src/utils/sampling_utils.py`, `restore_cond`, with a mask of any shape
 */
export const infill = (
  options: InfillOptions & Seeded
): Stage<Template | KeyedTemplate, Infilled, EmbedError | TokenizeError | TemplateError, Backend | Encoder | Network | Tokenizer> => {
  const plan = generatePlan(options)
  const { batchSize = 16, length } = options
  requireArgument(Number.isSafeInteger(batchSize) && batchSize >= 1, "infill.batchSize", "an integer ≥ 1", batchSize)
  requireArgument(typeof length !== "number" || (Number.isSafeInteger(length) && length >= 1), "infill.length", "an integer ≥ 1", length)
  return byWindow(batchSize, (rows: ReadonlyArray<Template | KeyedTemplate>, first) =>
    fillTemplates(rows.map((row, i) => ({ key: first + i, ...row })), first, plan))
}
