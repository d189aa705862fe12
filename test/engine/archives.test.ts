import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { describe, expect, it } from "vitest"
import { readTarGz } from "../../src/engine/tar.mjs"
import { unpackWheel } from "../../src/engine/wheel.mjs"
import { extractZipEntry, readZipEntries } from "../../src/engine/zip.mjs"
import { tar, tarGz, zip } from "./archives.ts"

const folder = mkdtempSync(join(tmpdir(), "archives-"))

const save = (name: string, bytes: Buffer): string => {
  writeFileSync(join(folder, name), bytes)
  return join(folder, name)
}

const files = [
  { name: "a/deflated.txt", content: "streams ".repeat(50_000) },
  { name: "a/stored.txt", content: "as it is", method: 0 },
  { name: "a/empty.txt", content: "", method: 0 },
  { name: "a/ü.txt", content: "named beyond ASCII" }
] as const

const extract = async (path: string): Promise<ReadonlyArray<string>> => {
  const entries = await readZipEntries(path)
  for (const [index, entry] of entries.entries()) await extractZipEntry(path, entry, join(folder, "out", String(index)))
  return entries.map((_, index) => readFileSync(join(folder, "out", String(index)), "utf8"))
}

describe("zip", () => {
  it("gives back every file, deflated, stored or empty, with its name", async () => {
    const path = save("whole.zip", zip(files))
    expect((await readZipEntries(path)).map(({ name }) => name)).toEqual(files.map(({ name }) => name))
    expect(await extract(path)).toEqual(files.map(({ content }) => content))
  })

  it("finds the directory before a comment", async () => {
    expect(await extract(save("comment.zip", zip(files, "made by a test")))).toHaveLength(4)
  })

  it("refuses an archive that was cut short", async () => {
    await expect(readZipEntries(save("cut.zip", zip(files).subarray(0, -10)))).rejects.toMatchObject({ problem: "CorruptArchive" })
  })

  it("refuses a file whose bytes changed", async () => {
    const bytes = zip(files)
    const at = bytes.indexOf("as it is")
    bytes.write("AS", at)
    await expect(extract(save("changed.zip", bytes))).rejects.toThrow(/stored\.txt is damaged/)
  })

  it("refuses a file whose deflate stream is broken", async () => {
    const bytes = zip(files)
    bytes.fill(0xff, 30 + files[0].name.length, 60 + files[0].name.length)
    await expect(extract(save("broken.zip", bytes))).rejects.toMatchObject({ problem: "CorruptArchive" })
  })

  it("refuses what is no archive at all", async () => {
    await expect(readZipEntries(save("text.zip", Buffer.from("<html>proxy login</html>")))).rejects.toThrow(/cut short/)
  })

  it("unpacks only what is needed, and nothing outside its folder", async () => {
    const wheel = save("some.whl", zip(files))
    expect(await unpackWheel(wheel, join(folder, "needed"), [/stored/])).toEqual(["a/stored.txt"])
    const evil = save("evil.whl", zip([{ name: "../outside.txt", content: "" }]))
    await expect(unpackWheel(evil, join(folder, "needed"), [/outside/])).rejects.toThrow(/outside its folder/)
  })
})

describe("tar.gz", () => {
  const long = { name: `package/${"deep/".repeat(30)}file.js`, content: "long" }
  const packed = [{ name: "package/package.json", content: "{}" }, long, { name: "package/big.js", content: "x".repeat(2000) }]

  it("gives back every file with its name, long names too", () => {
    expect(readTarGz(tarGz(packed)).map(({ content, name }) => ({ name, content: content.toString() }))).toEqual(packed)
  })

  it("refuses an archive that was cut short", () => {
    expect(() => readTarGz(gzipSync(tar(packed).subarray(0, 2500)))).toThrow(/cut short/)
    expect(() => readTarGz(tarGz(packed).subarray(0, -20))).toThrow(/not a readable tar\.gz/)
  })

  it("refuses a damaged header", () => {
    const bytes = tar(packed)
    bytes.write("Q", 512)
    expect(() => readTarGz(gzipSync(bytes))).toThrow(/header at byte 512 is damaged/)
  })
})
