/**
 * How the nested schema of a file becomes flat columns and back: leaves with their levels, and the shape of a column.
 *
 * @source https://github.com/apache/parquet-format/blob/master/LogicalTypes.md (lists and maps, and how older writers made them)
 * @since 0.1.0
 */
import type { SchemaElement, SchemaTree } from "hyparquet"
import { Damage } from "./Damage.ts"

/** A flat column: where it is in the schema, and how deep definition and repetition go. */
export interface Leaf {
  /** Index among the column chunks of a row group. */
  readonly index: number
  readonly path: ReadonlyArray<string>
  readonly element: SchemaElement
  readonly maxDefinition: number
  readonly maxRepetition: number
}

/** What a node of the schema makes of its leaves; `definition` is the level from which on it is there (not null). */
export type Shape =
  | { readonly kind: "leaf"; readonly leaf: Leaf; readonly definition: number }
  | { readonly kind: "struct"; readonly definition: number; readonly fields: ReadonlyArray<readonly [name: string, shape: Shape]> }
  | { readonly kind: "map"; readonly definition: number; readonly entry: number; readonly repetition: number; readonly key: Shape; readonly value: Shape }
  | {
    readonly kind: "list"
    readonly definition: number
    /** The level from which on the list has an element. */
    readonly entry: number
    readonly repetition: number
    readonly element: Shape
  }
  /** One field of a struct that is read without the others. */
  | { readonly kind: "field"; readonly definition: number; readonly inner: Shape }

const isRepeated = (node: SchemaTree) => node.element.repetition_type === "REPEATED"
const annotation = ({ element }: SchemaTree) => element.converted_type ?? element.logical_type?.type

const isMap = (node: SchemaTree) => annotation(node) === "MAP" || annotation(node) === "MAP_KEY_VALUE"

/** The repeated child of a list as the format prescribes it; a map without values is the list of its keys. */
const repeatedOf = (node: SchemaTree): SchemaTree | undefined => {
  const [child, ...others] = node.children
  if (child === undefined || others.length > 0 || !isRepeated(child)) return undefined
  return annotation(node) === "LIST" || (isMap(node) && child.children.length === 1) ? child : undefined
}

/** Whether the repeated group is the element itself, as older writers had it, or holds the element. */
const isElement = (list: SchemaTree, repeated: SchemaTree): boolean => {
  const { name } = repeated.element
  return repeated.children.length !== 1 || isRepeated(repeated.children[0]!) || name === "array" || name === `${list.element.name}_tuple`
}

const entriesOf = (node: SchemaTree): SchemaTree | undefined => {
  const [child, ...others] = node.children
  return isMap(node) && child !== undefined && others.length === 0 && isRepeated(child) && child.children.length === 2 ? child : undefined
}

/** The schema of a file with its leaves numbered in order. */
export class FileSchema {
  readonly root: SchemaTree
  readonly leaves: ReadonlyArray<Leaf>

  constructor(root: SchemaTree) {
    this.root = root
    const leaves: Array<Leaf> = []
    const visit = (node: SchemaTree, maxDefinition: number, maxRepetition: number): void => {
      if (maxDefinition > 255 || maxRepetition > 255) throw new Damage("the schema is nested too deeply")
      for (const child of node.children) {
        const definition = maxDefinition + (child.element.repetition_type === "REQUIRED" ? 0 : 1)
        const repetition = maxRepetition + (isRepeated(child) ? 1 : 0)
        if (child.children.length > 0) visit(child, definition, repetition)
        else if (child.element.type !== undefined) {
          leaves.push({ index: leaves.length, path: child.path, element: child.element, maxDefinition: definition, maxRepetition: repetition })
        }
      }
    }
    visit(root, 0, 0)
    this.leaves = leaves
  }

  /** The leaves at or below a path. */
  leavesOf(path: ReadonlyArray<string>): ReadonlyArray<Leaf> {
    return this.leaves.filter((leaf) => path.every((part, i) => leaf.path[i] === part))
  }

  /** The shape of the column at a path of schema names; fields beside the path are left out. */
  shapeOf(path: ReadonlyArray<string>): Shape {
    return this.#childShape(this.root, path, 0, 0)
  }

  #childShape(parent: SchemaTree, path: ReadonlyArray<string>, definition: number, repetition: number): Shape {
    const child = parent.children.find(({ element }) => element.name === path[0])
    if (child === undefined) throw new Damage(`the schema has no ${path.join(".")}`)
    return this.#shape(child, path.slice(1), definition, repetition)
  }

  /** A node, wrapped in a list if it is repeated without saying so. */
  #shape(node: SchemaTree, path: ReadonlyArray<string>, definition: number, repetition: number): Shape {
    const own = definition + (node.element.repetition_type === "REQUIRED" ? 0 : 1)
    if (!isRepeated(node)) return this.#content(node, path, own, repetition)
    const element = this.#content(node, path, own, repetition + 1)
    return { kind: "list", definition, entry: own, repetition: repetition + 1, element }
  }

  #content(node: SchemaTree, path: ReadonlyArray<string>, definition: number, repetition: number): Shape {
    if (node.children.length === 0) {
      const leaf = this.leaves.find((one) => one.path.length === node.path.length && one.path.every((part, i) => part === node.path[i]))
      if (leaf === undefined) throw new Damage(`the schema has a group without fields (${node.path.join(".")})`, "unsupported")
      return { kind: "leaf", leaf, definition }
    }
    const repeated = repeatedOf(node)
    if (repeated !== undefined) return this.#list(node, repeated, path[0] === repeated.element.name ? path.slice(1) : path, definition, repetition)
    const entries = entriesOf(node)
    if (entries !== undefined && path.length === 0) return this.#map(entries, definition, repetition)
    if (path.length > 0) return { kind: "field", definition, inner: this.#childShape(node, path, definition, repetition) }
    const fields = node.children.map((child) => [child.element.name, this.#shape(child, [], definition, repetition)] as const)
    return { kind: "struct", definition, fields }
  }

  #list(node: SchemaTree, repeated: SchemaTree, path: ReadonlyArray<string>, definition: number, outer: number): Shape {
    const [entry, repetition] = [definition + 1, outer + 1]
    if (isElement(node, repeated)) {
      return { kind: "list", definition, entry, repetition, element: this.#content(repeated, path, entry, repetition) }
    }
    const inner = repeated.children[0]!
    const rest = path[0] === inner.element.name ? path.slice(1) : path
    return { kind: "list", definition, entry, repetition, element: this.#shape(inner, rest, entry, repetition) }
  }

  #map(entries: SchemaTree, definition: number, outer: number): Shape {
    const [entry, repetition] = [definition + 1, outer + 1]
    const [key, value] = entries.children.map((child) => this.#shape(child, [], entry, repetition))
    return { kind: "map", definition, entry, repetition, key: key!, value: value! }
  }
}

/**
 * Schema names from the root to the column that `parts` of a dotted path name; lists on the way need not be spelled
 * out: `messages.content` is `messages.list.element.content`.
 */
export const locate = (node: SchemaTree, parts: ReadonlyArray<string>): SchemaTree | undefined => {
  const [part, ...rest] = parts
  if (part === undefined) return node
  const direct = node.children.find(({ element }) => element.name === part)
  if (direct !== undefined) return locate(direct, rest)
  const repeated = repeatedOf(node)
  if (repeated === undefined) return undefined
  return locate(isElement(node, repeated) ? repeated : repeated.children[0]!, parts)
}
