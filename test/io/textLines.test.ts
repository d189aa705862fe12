import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fc from "fast-check"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { TextLines } from "../../src/io/index.ts"
import { check } from "../support/prop.ts"
import { inFolder } from "./support.ts"

const write = (path: string, content: string | Uint8Array): string => {
  writeFileSync(path, content)
  return path
}

/** Any text that can be a line: no line feed, and no carriage return that would belong to one. */
const line = fc.string({ unit: "binary" }).filter((text) => text.isWellFormed()).map((text) => text.replaceAll("\n", "\u2028").replaceAll(/\r+$/g, "\f"))

describe("lines of a text file", () => {
  it.effect("come back as they were written, however they end", () =>
    inFolder((folder) =>
      check([fc.array(line, { minLength: 1 }), fc.constantFrom("\n", "\r\n"), fc.boolean()], (lines, end, ended) =>
        Effect.gen(function*() {
          const path = write(join(folder, "lines.txt"), lines.join(end) + (ended ? end : ""))
          assert.deepStrictEqual(yield* TextLines.read(path), !ended && lines.at(-1) === "" ? lines.slice(0, -1) : lines)
        }))))

  it.effect("keep the byte order mark, as the tools do that they are compared with", () =>
    inFolder(Effect.fnUntraced(function*(folder) {
      assert.deepStrictEqual(yield* TextLines.read(write(join(folder, "bom.txt"), "\ufeffa\n")), ["\ufeffa"])
    })))

  const pairs = (folder: string, first: string | Uint8Array, second: string) =>
    TextLines.readPairs(write(join(folder, "first.txt"), first), write(join(folder, "second.txt"), second))

  it.effect("pair up; a last empty line counts where only one file ends with a line feed", () =>
    inFolder(Effect.fnUntraced(function*(folder) {
      assert.deepStrictEqual(yield* pairs(folder, "a\n\nb\n", "x\ny\nz"), { first: ["a", "", "b"], second: ["x", "y", "z"] })
      assert.deepStrictEqual(yield* pairs(folder, "a\n", "x\ny"), { first: ["a", ""], second: ["x", "y"] })
      assert.deepStrictEqual(yield* pairs(folder, "\n", "x\n"), { first: [""], second: ["x"] })
    })))

  it.effect("are refused where they do not pair up, are none, are no UTF-8 or cannot be read, with file and line", () =>
    inFolder(Effect.fnUntraced(function*(folder) {
      const refused = (first: string | Uint8Array, second: string) => Effect.map(Effect.flip(pairs(folder, first, second)), ({ message }) => message)
      assert.match(yield* refused("a\n", "x\ny\n"), /first\.txt: it has 1 lines, .*second\.txt has 2/)
      assert.match(yield* refused("", ""), /first\.txt: it has no line/)
      assert.match(yield* refused(Uint8Array.of(0x61, 0x0a, 0xff, 0x0a), "x\ny\n"), /first\.txt \(line 2\): it is no UTF-8/)
      const missing = yield* Effect.flip(TextLines.read(join(folder, "none.txt")))
      assert.match(missing.message, /none\.txt: it cannot be read \(ENOENT\)/)
    })))
})
