/** The documents say what is so. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { describe, expect, it } from "vitest"
import { describeRunFile } from "../scripts/describe-run-file.ts"

const root = join(import.meta.dirname, "..")
const read = (path: string): string => readFileSync(join(root, path), "utf8")

const documents = [
  "README.md", "CHANGELOG.md",
  ...readdirSync(new URL("../docs/", import.meta.url)).filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`)
]

describe("documents", () => {
  it("docs/run-file.md is what the schema says; if it is not, `npm run docs` writes it", () => {
    expect(read("docs/run-file.md")).toBe(describeRunFile())
  })

  it.each(documents)("%s links to files that exist", (path) => {
    const links = Array.from(read(path).matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g), ([, link]) => link!)
    expect(links.filter((link) => !existsSync(join(root, dirname(path), link)))).toEqual([])
  })

  it("docs/glossary.md names files that exist and hold what they are said to hold", () => {
    const rows = Array.from(read("docs/glossary.md").matchAll(/^\|([^|]+)\|([^|]+)\| `([\w/.]+\.(?:ts|mjs))` \|/gm))
    expect(rows.length).toBeGreaterThan(40)
    const wrong = rows.filter(([, , ours, file]) => {
      const source = existsSync(join(root, "src", file!)) ? read(join("src", file!)) : ""
      return Array.from(ours!.matchAll(/`([^`]+)`/g), ([, name]) => name!.split(".").at(-1)!).some((name) => !source.includes(name))
    })
    expect(wrong.map(([row]) => row)).toEqual([])
  })
})
