/** `elf inspect` as a process. */
import { createHash } from "node:crypto"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { elf } from "./process.ts"

const fixtures = join(import.meta.dirname, "..", "io", "fixtures")
const sha256 = (lines: ReadonlyArray<string>) => createHash("sha256").update(lines.map((line) => `${line}\n`).join("")).digest("hex")

describe("elf inspect", () => {
  it("prints schema, row groups, codecs and rows, and what a column holds", async () => {
    const { code, stdout } = await elf(["inspect", join(fixtures, "{gzip,large}.parquet"), "--column", "ids", "--json"])
    expect(code).toBe(0)
    const [gzip, large] = stdout.trim().split("\n").map((line) => JSON.parse(line))
    expect(gzip).toMatchObject({ file: join(fixtures, "gzip.parquet"), rows: 8, codecs: ["GZIP"], rowGroups: [{ rows: 8 }] })
    expect(gzip.schema).toContainEqual({ name: "ids", type: "list of int32", nullable: true })
    const lists = [[1, 2, 3], [], [-2147483648, 2147483647], [0], Array(40).fill(7), [5], [], [9, 8]]
    const column = { rows: 8, nulls: 0, characters: 49, sha256: sha256(lists.map((list) => list.join(" "))) }
    expect(gzip.column).toEqual(column)
    expect(large.column).toEqual(column)
  })

  it("a text column counts code points and nulls", async () => {
    const { code, stdout } = await elf(["inspect", join(fixtures, "gzip.parquet"), "--column", "note", "--json"])
    expect(code).toBe(0)
    const texts = ["first", "third", "sixth", "", "eighth"]
    expect(JSON.parse(stdout).column).toEqual({ rows: 8, nulls: 3, characters: 21, sha256: sha256(texts) })
  })

  it("says in JSON what cannot be read and where, goes on with the other files, and exits with 1", async () => {
    const pattern = join(fixtures, "parquet-testing", "data", "datapage_v1-{corrupt-checksum,uncompressed-checksum}.parquet")
    const { code, stderr, stdout } = await elf(["inspect", pattern, "--column", "a", "--json"])
    expect(code).toBe(1)
    expect(stderr).toBe("")
    const [read, refused] = stdout.trim().split("\n").map((line) => JSON.parse(line))
    expect(read.column.rows).toBe(5120)
    expect(refused.error).toMatchObject({ _tag: "ParquetError", reason: "checksum", rowGroup: 0, column: "a" })
    expect(refused.error.file).toContain("corrupt-checksum")
  })
})
