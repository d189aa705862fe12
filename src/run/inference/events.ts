/**
 * What an inference tells as it goes.
 *
 * @since 0.1.0
 */
import type { Effect } from "effect"
import type { PartManifest } from "../../io/index.ts"
import type { Result } from "./tasks.ts"

/** What a unit did: its line in the manifest. */
export type UnitReport = PartManifest.PartRecord

/** A row, a row group or a file that was passed over. */
export interface Problem {
  readonly input: string
  /** Absent where the whole file is meant. */
  readonly rowGroup?: number
  /** Counted from the start of the file; absent where the whole row group is meant. */
  readonly row?: number
  readonly error: string
}

/** One event; `part` names the unit. */
export type InferenceEvent =
  | { readonly type: "unitStarted"; readonly part: string; readonly rows: number }
  | ({ readonly type: "rows"; readonly part: string; readonly rows: number } & Pick<Result, "tokens" | "promptTokens" | "promptPositions">)
  | ({ readonly type: "problem"; readonly part?: string } & Problem)
  | { readonly type: "unitFinished"; readonly report: UnitReport }

/** Is told of every event. */
export type Tell = (event: InferenceEvent) => Effect.Effect<void>
