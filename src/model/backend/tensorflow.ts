/**
 * libtensorflow as the engine: the one to train on.
 *
 * @since 0.1.0
 */
import * as tf from "@tensorflow/tfjs-core"
import { Effect } from "effect"
import { EngineError, load, reasonOf } from "../../engine/index.mjs"
import { accelerateNormals } from "../../flow/Normals.ts"
import type { EngineUnavailableError } from "./errors.ts"
import { type BackendFields, makeBackend, unavailable } from "./make.ts"
import { registerProduct } from "./productKernel.ts"

const toUnavailable = (thrown: unknown): EngineUnavailableError =>
  unavailable("tensorflow", reasonOf(thrown), thrown instanceof EngineError ? thrown.remedy : "Install it again with `elf engine install --force`")

/** `libtensorflow 2.21.0, 2 threads, own kernels (v4)` */
const describe = ({ gpu, kernels, threads, version }: ReturnType<typeof load>): string =>
  [`libtensorflow ${version}`, gpu ? "GPU" : `${threads} thread${threads === 1 ? "" : "s"}`, ...(kernels === undefined ? [] : [`own kernels (${kernels})`])].join(", ")

/** Loads the installed engine and makes it current. */
export const tensorflow: Effect.Effect<BackendFields, EngineUnavailableError> = Effect.flatMap(
  Effect.try({ try: () => load(tf), catch: toUnavailable }),
  (loaded) => {
    if (loaded.normals !== undefined) accelerateNormals(loaded.normals)
    registerProduct()
    return makeBackend("tensorflow", describe(loaded))
  }
)
