/** Opens bytes as a file of torch.save, and expects to be refused. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import * as TorchFile from "../../src/io/torch/TorchFile.ts"
import { TorchFileError } from "../../src/io/torch/TorchFileError.ts"
import { onDisk } from "./support.ts"
import { diskOf } from "./torchFiles.ts"

/** Opens bytes as a file of torch.save and uses it. */
export const withFile = <A, E>(bytes: Uint8Array, use: (file: TorchFile.TorchFile) => Effect.Effect<A, E>) =>
  Effect.scoped(Effect.flatMap(TorchFile.open("hostile.pt"), use)).pipe(onDisk(diskOf(bytes)))

/** The typed error that opening these bytes ends with. */
export const refusal = (bytes: Uint8Array) => Effect.map(Effect.flip(withFile(bytes, () => Effect.void)), (error) => {
  assert.instanceOf(error, TorchFileError)
  return error
})
