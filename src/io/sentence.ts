/**
 * One helpful sentence out of place, problem and remedy.
 *
 * @since 0.1.0
 */

/** `place: problem; remedy.` without doubling the final mark. */
export const sentence = (place: string, problem: string, remedy: string): string =>
  `${place}: ${problem}; ${remedy}${/[.?!]$/.test(remedy) ? "" : "."}`

/** `file (row group 2, row 17, column "text")`: only the parts that are known. */
export const placeOf = (file: string, parts: ReadonlyArray<string | undefined>): string => {
  const known = parts.filter((part) => part !== undefined)
  return known.length === 0 ? file : `${file} (${known.join(", ")})`
}
