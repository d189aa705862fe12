/**
 * The points of a sweep: every combination of settings that differs in effect.
 *
 * @since 0.1.0
 */
import { Effect } from "effect"
import { RunConfig } from "../../io/index.ts"
import { samplerChoice, type SamplerChoice } from "../sampling.ts"
import { digest } from "./data.ts"
import { EvaluationError } from "./EvaluationError.ts"
import type { EvaluationRequest, Sweep, SweptKey } from "./request.ts"

/** One combination of settings. */
export interface Point {
  /** Everything that its texts depend on besides the network and the inputs. */
  readonly choice: SamplerChoice
  /** A file's name without extension: the settings, and a digest of all that decides its texts. */
  readonly name: string
}

/** The order in which a sweep goes through them: the last one fastest. */
const sweptKeys: ReadonlyArray<SweptKey> = ["solver", "gamma", "churn", "guidanceScale", "selfConditionScale", "seed", "steps"]

const combinations = (sweep: Sweep): ReadonlyArray<Partial<SamplerChoice>> =>
  sweptKeys.reduce<ReadonlyArray<Partial<SamplerChoice>>>((all, key) => {
    const values: ReadonlyArray<unknown> | undefined = sweep[key]
    return values === undefined ? all : all.flatMap((each) => values.map((value) => ({ ...each, [key]: value })))
  }, [{}])

/** γ is the churn of `sde` alone, which takes no other: elsewhere two values are one setting. */
const withoutIdleChurn = (choice: SamplerChoice): SamplerChoice => choice.solver === "sde" ? { ...choice, churn: 0 } : { ...choice, gamma: 0 }

const nameOf = ({ churn, gamma, guidanceScale, seed, selfConditionScale, solver, steps }: SamplerChoice, identity: string): string => {
  const parts = [solver, `${steps}-steps`, ...(gamma === 0 ? [] : [`gamma-${gamma}`]), ...(churn === 0 ? [] : [`churn-${churn}`]), ...(guidanceScale === 1 ? [] : [`guidance-${guidanceScale}`]), `scale-${selfConditionScale}`, `seed-${seed}`]
  return `${parts.join("_")}_${identity.slice(0, 8)}`
}

/** Settings as a run file would be refused or taken with them. */
const checked = (run: RunConfig.RunConfig, { seed, ...sample }: SamplerChoice): Effect.Effect<SamplerChoice, EvaluationError> =>
  Effect.mapBoth(RunConfig.decode({ ...run, seed, sample }), {
    onSuccess: (decoded) => ({ ...decoded.sample, seed: decoded.seed }),
    onFailure: ({ message }) => new EvaluationError({ reason: "request", where: "the sampler", detail: message, remedy: "choose other settings" })
  })

/** The points of a request, each once. `identity` tells network, inputs and task. */
export const pointsOf = (run: RunConfig.RunConfig, { change, sweep }: EvaluationRequest, identity: unknown): Effect.Effect<ReadonlyArray<Point>, EvaluationError> =>
  Effect.map(
    Effect.forEach(combinations(sweep), (combination) => checked(run, withoutIdleChurn(samplerChoice(run, { ...change, ...combination })))),
    (choices) => {
      const points = choices.map((choice): Point => {
        const { count: _, ...settings } = choice
        return { choice, name: nameOf(choice, digest([identity, settings])) }
      })
      return [...new Map(points.map((point) => [point.name, point])).values()]
    }
  )
