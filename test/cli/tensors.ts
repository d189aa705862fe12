/** What checkpoints hold, for comparisons bit for bit. */
import { Effect } from "effect"
import { Checkpoint } from "../../src/io/index.ts"

/** All tensors of a checkpoint, by section and name. */
export const tensorsOf = (path: string) =>
  Effect.gen(function*() {
    const checkpoint = yield* Checkpoint.read(path)
    const sections = yield* Effect.forEach(checkpoint.sections, (section) => checkpoint.section(section))
    return sections.flatMap((tensors, i) => Array.from(tensors.values(), ({ data, name }) => [`${checkpoint.sections[i]}/${name}`, Array.from(data)] as const))
  })
