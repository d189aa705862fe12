/** Changes to JSON that keep it JSON: other numbers, other types, depth, keys given twice. */
import { mutate } from "./bytes.ts"
import { type Draw, pick } from "./Reader.ts"

export type Json = null | boolean | number | string | ReadonlyArray<Json> | { readonly [key: string]: Json }

/** A text in JSON's place that `JSON.stringify` would not make. */
class Raw {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

type Tree = Json | Raw | ReadonlyArray<Tree> | Members

/** Members in order; a key may stand there twice. */
class Members {
  readonly pairs: ReadonlyArray<readonly [string, Tree]>
  constructor(pairs: ReadonlyArray<readonly [string, Tree]>) {
    this.pairs = pairs
  }
}

const render = (tree: Tree): string => {
  if (tree instanceof Raw) return tree.text
  if (tree instanceof Members) return `{${tree.pairs.map(([key, value]) => `${JSON.stringify(key)}:${render(value)}`).join(",")}}`
  return Array.isArray(tree) ? `[${tree.map(render).join(",")}]` : JSON.stringify(tree)
}

const hugeNumbers = ["0", "-0", "-1", "0.5", "1e308", "1e999", "9007199254740991", "9007199254740992", "4294967295", "4294967296", "2147483648", "1000000000", "1e15", "123456789012345678901234567890"]
const depths = [10, 200, 5_000, 60_000]
const names = ["__proto__", "constructor", "toString", "", "length", "\u0000", "__metadata__", "a".repeat(300)]

const deep = (draw: Draw): Raw => {
  const depth = pick(draw, depths)
  return draw(2) === 0 ? new Raw(`${"[".repeat(depth)}${"]".repeat(depth)}`) : new Raw(`${"{\"a\":".repeat(depth)}0${"}".repeat(depth)}`)
}

/** Something else in a value's place. */
const instead = (draw: Draw): Tree => {
  switch (draw(8)) {
    case 0: return pick(draw, [null, true, false, "", "x", "\ud800", "x".repeat(5_000), [], {}] as ReadonlyArray<Json>)
    case 1: return draw(6) === 0 ? deep(draw) : null
    case 2: return Array.from({ length: draw(40) }, () => new Raw(pick(draw, hugeNumbers)))
    case 3: return new Members([[pick(draw, names), 0]])
    default: return new Raw(pick(draw, hugeNumbers))
  }
}

const count = (value: Json): number =>
  value === null || typeof value !== "object" ? 1 : 1 + Object.values(value).reduce<number>((sum, child) => sum + count(child as Json), 0)

/** Renders `value` with its node number `at` changed; nodes are counted depth first. */
const changed = (value: Json, at: number, draw: Draw): Tree => {
  let next = 0
  const walk = (node: Json): Tree => {
    if (next++ === at) return pick(draw, [instead, alter])(draw, node)
    if (node === null || typeof node !== "object") return node
    return Array.isArray(node) ? node.map(walk) : new Members(Object.entries(node).map(([key, child]) => [key, walk(child as Json)]))
  }
  return walk(value)
}

/** A node of the same kind with something missing, twice, renamed or out of order; a number a little off. */
const alter = (draw: Draw, node?: Json): Tree => {
  if (typeof node === "number") return node + pick(draw, [1, -1, 8, -node, node])
  if (typeof node === "string") return draw(2) === 0 ? node.slice(draw(node.length + 1)) : node + pick(draw, [" ", "\u0000", node, "/../x", "\ud800"])
  if (node === null || node === undefined || typeof node !== "object") return instead(draw)
  if (Array.isArray(node)) {
    const at = draw(node.length + 1)
    return draw(2) === 0 ? node.toSpliced(at, 1) : [...node, ...node.slice(at), ...node]
  }
  const pairs = Object.entries(node as { readonly [key: string]: Json })
  const at = draw(pairs.length + 1)
  switch (draw(4)) {
    case 0: return new Members(pairs.toSpliced(at, 1))
    case 1: return new Members([...pairs, ...pairs.slice(at, at + 1)])
    case 2: return new Members([...pairs, [pick(draw, names), instead(draw)]])
    default: return new Members(pairs.map(([key, child], i) => [i === at ? pick(draw, [...names, `${key}x`, key.toUpperCase()]) : key, child]))
  }
}

/** JSON text of `value` with one node changed, sometimes three. */
export const mutateJson = (value: Json, draw: Draw): string => {
  let text = render(changed(value, draw(count(value)), draw))
  for (let more = pick(draw, [0, 0, 2]); more > 0 && text.length < 50_000; more--) {
    try {
      const again = JSON.parse(text) as Json
      text = render(changed(again, draw(count(again)), draw))
    } catch {
      return text
    }
  }
  return text
}

/** A file of JSON with a node changed, or, one time in four, its bytes. */
export const changedJson = (file: Buffer, draw: Draw): Uint8Array =>
  draw(4) === 0 ? mutate(file, draw) : Buffer.from(mutateJson(JSON.parse(file.toString()) as Json, draw))
