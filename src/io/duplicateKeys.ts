/**
 * Repeated keys in JSON, which `JSON.parse` drops in silence.
 *
 * @since 0.1.0
 */

/** Ends of the string literal that begins at `start` (on its opening quote): the index behind the closing quote. */
const endOfString = (json: string, start: number): number => {
  let i = start + 1
  while (i < json.length && json[i] !== "\"") i += json[i] === "\\" ? 2 : 1
  return i + 1
}

const isKey = (json: string, end: number): boolean => {
  let i = end
  while (i < json.length && /\s/.test(json[i]!)) i++
  return json[i] === ":"
}

/**
 * The first key that an object of `json` holds twice, or undefined.
 *
 * `json` must be valid JSON; keys are compared as they decode, so `"a"` and `"\u0061"` are the same.
 */
export const duplicateKey = (json: string): string | undefined => {
  const open: Array<Set<string>> = []
  for (let i = 0; i < json.length;) {
    const character = json[i]
    if (character === "\"") {
      const end = endOfString(json, i)
      if (isKey(json, end)) {
        const key = JSON.parse(json.slice(i, end)) as string
        const keys = open.at(-1)
        if (keys?.has(key)) return key
        keys?.add(key)
      }
      i = end
      continue
    }
    if (character === "{") open.push(new Set())
    else if (character === "}") open.pop()
    i++
  }
  return undefined
}
