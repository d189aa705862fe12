/** A parquet file of prompts to a parquet file of answers: npx node examples/infer-parquet.ts prompts.parquet answers.parquet */
import { Effect, Stream } from "effect"
import { Backend, Parquet, Pretrained } from "elf-streams"

const [input = "prompts.parquet", output = "answers.parquet"] = process.argv.slice(2)

await Parquet.read(input, { column: "prompt" }).pipe(
  Pretrained.generate(Pretrained.sotu, { steps: 16 }),
  Parquet.write(output),
  Stream.runForEach(({ path, rows }) => Effect.log(`${rows} answers in ${path}`)),
  Effect.provide(Backend.layer),
  Effect.runPromise
)
