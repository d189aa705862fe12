/**
 * `elf` on a disk that kills it: `node killedProcess.ts 17 train run.json --resume` dies in its 18th change of the disk.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { Command } from "effect/cli"
import { elf } from "../../src/cli/commands.ts"
import { loggerLayer, reportFailure } from "../../src/cli/failure.ts"
import { Disk } from "../../src/io/index.ts"
import { killingDisk } from "./killingDisk.ts"

const [at = "-1", ...parameters] = process.argv.slice(2)

Command.runWith(elf, { version: "0" })(parameters).pipe(
  Effect.provideService(Disk, killingDisk(Number(at))),
  Effect.provide(Layer.mergeAll(loggerLayer, NodeServices.layer)),
  reportFailure,
  NodeRuntime.runMain({ disableErrorReporting: true })
)
