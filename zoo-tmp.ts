import { Effect, Stream } from "effect"
import { Parquet } from "./src/io/index.ts"
await Effect.gen(function*(){
  const file = yield* Parquet.open("/tmp/zoo/in.parquet")
  for (const group of file.rowGroups) {
    const rows = Stream.fromIterable(Array.from({length: Math.ceil(group.rows / 7)}, (_, i) => Array.from({length: Math.min(7, group.rows - i*7)}, (_, j) => ({ answer: (i+j)%5===0 ? null : "a".repeat(j), tokens: j, seed: 5 }))), { chunkSize: 1})
    console.log(yield* Parquet.writePart(`/tmp/zoo/out/in.0000${group.index}.parquet`, rows, { carried: { file, group, columns: file.columns.map(c => c.name) }, schema: { answer: "string?", tokens: "int32?", seed: "int64" }, metadata: { x: "y" } }))
  }
}).pipe(Effect.scoped, Effect.runPromise)
