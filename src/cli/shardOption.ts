/**
 * `--shard`: which share of the work a process does, said by hand or by the scheduler that started it.
 */
import { Effect, Schema } from "effect"
import type { Shard } from "../run/inference/request.ts"

/** The share cannot be told. */
class ShardError extends Schema.TaggedError<ShardError>()("ShardError", { given: Schema.String, detail: Schema.String }) {
  override get message(): string {
    return `--shard ${this.given}: ${this.detail}. Give i/n with 0 ≤ i < n, or auto/n where the scheduler numbers its processes.`
  }
}

/** Where schedulers put a process's number, from 0: Kubernetes indexed jobs, AWS Batch arrays, Slurm arrays. */
const indexVariables = ["JOB_COMPLETION_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX", "SLURM_ARRAY_TASK_ID"] as const

const wholeNumber = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined

/** Parses `2/8`, or `auto/8` with the number from the environment. */
export const parseShard = (given: string, environment: Readonly<Record<string, string | undefined>>): Effect.Effect<Shard, ShardError> => {
  const failing = (detail: string) => Effect.fail(new ShardError({ given, detail }))
  const [first, second, ...rest] = given.split("/")
  const count = wholeNumber(second)
  if (rest.length > 0 || count === undefined || count < 1) return failing("this is no share")
  const variable = indexVariables.find((name) => environment[name] !== undefined)
  if (first === "auto" && variable === undefined) return failing(`none of ${indexVariables.join(", ")} is set`)
  const index = wholeNumber(first === "auto" ? environment[variable!] : first)
  if (index === undefined) return failing(first === "auto" ? `${variable} is no number` : "this is no share")
  return index < count ? Effect.succeed({ index, count }) : failing(`there is no share ${index} of ${count}`)
}

export type { ShardError }
