#!/usr/bin/env node
/**
 * The command line. Exit codes: 0 done, 1 failed with a sentence that says why, 130 interrupted (Ctrl-C), 143 asked to
 * end (SIGTERM).
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Effect, Layer, Runtime } from "effect"
import { Command } from "effect/cli"
import { elf } from "./cli/commands.ts"
import { loggerLayer, reportFailure } from "./cli/failure.ts"
import { telemetryLayer } from "./cli/telemetry.ts"
import { version } from "./version.ts"

// A reader that has seen enough, as in `elf doctor | head -1`, is no failure; nothing else can be said on a closed pipe.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1))

// Both signals interrupt the program; schedulers tell a job that they ended by its code.
let terminated = false
process.once("SIGTERM", () => { terminated = true })
const teardown: Runtime.Teardown = (exit, onExit) => Runtime.defaultTeardown(exit, (code) => onExit(code === 130 && terminated ? 143 : code))

Command.run(elf, { version }).pipe(
  Effect.provide(Layer.mergeAll(loggerLayer, NodeServices.layer, telemetryLayer)),
  reportFailure,
  NodeRuntime.runMain({ disableErrorReporting: true, teardown })
)
