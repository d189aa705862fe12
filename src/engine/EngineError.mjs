/**
 * The one error of the engine: what is missing, why, and the command that mends it.
 *
 * @since 0.1.0
 */

/**
 * What went wrong, by kind, so that a caller can decide without reading text.
 *
 * @typedef {"UnsupportedPlatform" | "NoCompiler" | "NoHeaders" | "NoPip" | "NoSpace" | "DownloadFailed" | "ChecksumMismatch"
 *   | "CorruptArchive" | "UnusableFolder" | "CompileFailed" | "SelfTestFailed" | "NotInstalled" | "LoadFailed"} EngineProblem
 */

/** A step of the engine's set-up or loading that could not be done. */
export class EngineError extends Error {
  /** @readonly */
  _tag = "EngineError"

  /**
   * @param {EngineProblem} problem
   * @param {string} why one line, without a final full stop
   * @param {string} remedy what the reader can do, in the imperative
   * @param {unknown} [cause]
   */
  constructor(problem, why, remedy, cause) {
    super(`${why}. ${remedy}.`, cause === undefined ? undefined : { cause })
    this.name = "EngineError"
    /** @readonly */
    this.problem = problem
    /** @readonly */
    this.why = why
    /** @readonly */
    this.remedy = remedy
  }
}

/**
 * The first line of whatever was thrown, for reports that have one line to spend.
 *
 * @param {unknown} thrown
 * @returns {string}
 */
export const reasonOf = (thrown) =>
  thrown instanceof EngineError
    ? thrown.why
    : (thrown instanceof Error ? thrown.message : String(thrown)).split("\n")[0] ?? ""
