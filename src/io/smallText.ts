/**
 * Small text files from elsewhere, kept small: a cap on their size before they are read, and on their depth before they
 * are parsed, since parsers and checks go down into every level of a value and would run out of stack.
 *
 * @since 0.1.0
 */
import { open } from "node:fs/promises"

/** Deepest nesting that is accepted; no file that is read here has more than ten levels. */
const deepest = 100

/** Whether brackets nest deeper than any file needs; `skipTexts` leaves out those in double quotes. */
const nestsTooDeep = (text: string, skipTexts: boolean): boolean => {
  let [depth, inText] = [0, false]
  for (let i = 0; i < text.length; i++) {
    const character = text[i]
    if (skipTexts && character === "\"") inText = !inText
    else if (inText && character === "\\") i++
    else if (!inText && (character === "[" || character === "{") && ++depth > deepest) return true
    else if (!inText && (character === "]" || character === "}") && depth > 0) depth--
  }
  return false
}

const tooDeep = () => new Error(`it nests deeper than ${deepest} levels`)

/** Parses JSON; throws an Error for what is none and for what nests too deep. */
export const parseJson = (text: string): unknown => {
  if (nestsTooDeep(text, true)) throw tooDeep()
  return JSON.parse(text)
}

/** Throws an Error where the brackets, or the indentation, of YAML nest too deep. */
export const checkYamlDepth = (text: string): void => {
  if (nestsTooDeep(text, false) || new RegExp(`^(?:[ \\t]|[-?:][ \\t]){${2 * deepest}}`, "m").test(text)) throw tooDeep()
}

/** The text of a file of at most `largest` bytes; rejects with an Error for a larger one, without having read it. */
export const readSmallText = async (path: string, largest = 16 * 1024 * 1024): Promise<string> => {
  const file = await open(path, "r")
  try {
    const { size } = await file.stat()
    if (size > largest) throw new Error(`it has ${size} bytes; at most ${largest} are read`)
    const bytes = Buffer.alloc(size)
    const { bytesRead } = await file.read(bytes, 0, size, 0)
    return bytes.toString("utf8", 0, bytesRead)
  } finally {
    await file.close()
  }
}
