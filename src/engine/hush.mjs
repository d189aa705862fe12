/**
 * Loading a native library without its notices on the terminal; warnings and errors that it prints meanwhile are kept.
 *
 * @since 0.1.0
 */
import { createRequire } from "node:module"

/** Notices of libtensorflow's log: severity I, and the line about its log itself. */
const notice = /^(I\d{4} |WARNING: All log messages before absl::InitializeLog)/

/**
 * Runs `work`, and prints of what it wrote to standard error only what is no notice.
 *
 * @template A
 * @param {string} addon path of the compiled `native/hush.cc`
 * @param {() => A} work
 * @returns {A}
 */
export const hushed = (addon, work) => {
  const { begin, end } = createRequire(import.meta.url)(addon)
  begin()
  try {
    return work()
  } finally {
    process.stderr.write(withoutNotices(end()))
  }
}

/**
 * The lines of a log that are no notices.
 *
 * @param {string} log
 * @returns {string}
 */
export const withoutNotices = (log) =>
  log.split(/(?<=\n)/).filter((line) => !notice.test(line)).join("")
