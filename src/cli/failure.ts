/**
 * How a command ends badly: one sentence without a stack trace for what can be mended, the whole trace for our own faults.
 */
import { Cause, Effect, Logger } from "effect"
import { CliError } from "effect/cli"

const asksForJson = (): boolean => process.argv.includes("--json")

/** A failure that names itself: every error of this library. */
interface Tagged {
  readonly _tag: string
  readonly message: string
}

const isTagged = (error: unknown): error is Tagged => error instanceof Error && typeof (error as { readonly _tag?: unknown })._tag === "string"

const fields = (error: Tagged): Record<string, unknown> =>
  Object.fromEntries(Object.entries(error).filter(([name, value]) => name !== "cause" && name !== "stack" && typeof value !== "function"))

const show = (error: unknown): void => {
  if (CliError.isCliError(error)) return // already rendered with the command's help
  if (!isTagged(error)) return void process.stderr.write(`error: ${error instanceof Error ? error.stack : String(error)}\n`)
  if (asksForJson()) process.stdout.write(`${JSON.stringify({ error: { ...fields(error), message: error.message } })}\n`)
  else process.stderr.write(`error: ${error.message}\n`)
}

const showCause = (cause: Cause.Cause<unknown>): void => {
  if (Cause.hasInterruptsOnly(cause)) return
  for (const reason of cause.reasons) {
    if (reason._tag === "Fail") show(reason.error)
    if (reason._tag === "Die") process.stderr.write(`This is a fault of elf-streams, please report it:\n${Cause.pretty(cause)}\n`)
  }
}

/** Says why a program failed; the failure itself passes on and becomes the exit code. */
export const reportFailure = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.tapCause(program, (cause) => Effect.sync(() => showCause(cause)))

/** Log lines on standard error, the message alone: standard output is for results. */
export const loggerLayer = Logger.layer([
  Logger.make(({ message }) => void process.stderr.write(`${[message].flat().map(String).join(" ")}\n`))
])
