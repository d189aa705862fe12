/**
 * Reads every parquet file below a folder and compares every value with digests of what pyarrow reads
 * (made by test/io/fixtures/expected_digests.py). Says for each file: the same, refused and why, or different.
 *
 *     node scripts/check-parquet-files.ts FOLDER DIGESTS.json
 */
import { Effect, Result } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { digestFile, type FileDigest } from "../test/io/parquetDigest.ts"

const [folder, digests] = process.argv.slice(2)
if (folder === undefined || digests === undefined) throw new Error("usage: node scripts/check-parquet-files.ts FOLDER DIGESTS.json")

type Expected = FileDigest | { readonly error: string }
const { files } = JSON.parse(readFileSync(digests, "utf8")) as { readonly files: Record<string, Expected> }

const counts = { same: 0, refused: 0, "read, but not by pyarrow": 0, different: 0 }
const say = (kind: keyof typeof counts, name: string, detail = ""): void => {
  counts[kind]++
  if (kind !== "same") console.log(`${kind.padEnd(9)} ${name} ${detail}`)
}

for (const [name, expected] of Object.entries(files)) {
  const result = await Effect.runPromise(Effect.result(digestFile(join(folder, name))))
  if (Result.isFailure(result)) say("refused", name, `${result.failure.reason}: ${result.failure.message}${"error" in expected ? ` [pyarrow: ${expected.error}]` : ""}`)
  else if ("error" in expected) say("read, but not by pyarrow", name, expected.error)
  else {
    const wrong = expected.columns.filter(([column, sha], i) => result.success.columns[i]?.[0] !== column || result.success.columns[i]?.[1] !== sha)
    const same = wrong.length === 0 && result.success.columns.length === expected.columns.length && result.success.rows === expected.rows
    say(same ? "same" : "different", name, wrong.map(([column]) => column).join(", "))
  }
}
console.log(counts)
process.exitCode = counts.different > 0 ? 1 : 0
