/**
 * Words as Python's `str.split()` finds them, which is what the metrics of the field are defined by.
 *
 * @since 0.1.0
 */

/**
 * What Python takes for white space. Unlike `\s` here it has the separators U+001C to U+001F and NEL (U+0085), and not
 * U+FEFF.
 */
const pythonSpace = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"

const spaces = new RegExp(`[${pythonSpace}]+`, "u")

/** The words between white space; none for a text of white space alone. @source Python, `str.split` */
export const wordsOf = (text: string): ReadonlyArray<string> => text.split(spaces).filter((word) => word !== "")
