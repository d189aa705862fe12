/**
 * An ONNX file as a function from ids and mask to hidden states, through `@huggingface/transformers`, which is loaded when
 * the first session is opened and not before.
 */
import type * as Transformers from "@huggingface/transformers"
import { Effect, type Scope } from "effect"
import { basename, dirname, isAbsolute, normalize, resolve } from "node:path"
import { configuredThreads } from "../engine/load.mjs"
import { failing, type OnnxEncoderError } from "./OnnxEncoderError.ts"

/** The number types in which exported encoders take ids and masks. */
type InputType = "int64" | "int32" | "float32" | "bool"

/** An open encoder. */
export interface OnnxSession {
  /** 2: the mask says which keys all queries see, `[B, S]`; 3: which keys each query sees, `[B, S, S]`; 0: there is none. */
  readonly maskRank: 0 | 2 | 3
  /** Last hidden states `[B, S, D]`. `mask` has the shape that `maskRank` asks for. */
  readonly run: (ids: Int32Array, mask: Float32Array, size: number, length: number) => Promise<{ readonly width: number; readonly states: Float32Array }>
}

/** The part of the library that is used. */
type Library = typeof Transformers

interface InputMetadata {
  readonly name: string
  readonly type: string
  readonly shape: ReadonlyArray<number | string>
}

interface RuntimeSession {
  readonly inputNames: ReadonlyArray<string>
  readonly outputNames: ReadonlyArray<string>
  readonly inputMetadata: ReadonlyArray<InputMetadata>
}

const wordsOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause)).split("\n")[0]!.replace(/\.$/, "")

const isMissing = (cause: unknown): boolean => ["ERR_MODULE_NOT_FOUND", "MODULE_NOT_FOUND"].includes((cause as { readonly code?: string }).code ?? "")

/** The library, or how to get it. `from` is its name; a test gives another one. */
export const loadLibrary = (file: string, from = "@huggingface/transformers"): Effect.Effect<Library, OnnxEncoderError> =>
  Effect.tryPromise({
    try: () => import(from) as Promise<Library>,
    catch: (cause) =>
      failing(file)(
        "missingLibrary",
        isMissing(cause) ? "@huggingface/transformers is not installed" : `@huggingface/transformers cannot be loaded (${wordsOf(cause)})`,
        "Install it: ONNXRUNTIME_NODE_INSTALL=skip npm install @huggingface/transformers@4 (without the variable it fetches CUDA libraries)"
      )
  })

const known: Readonly<Record<string, true>> = { input_ids: true, attention_mask: true, token_type_ids: true }

const inputTypes: ReadonlyArray<string> = ["int64", "int32", "float32", "bool"]

/** Refuses models that want what a text encoder does not have. */
const checkInputs = (file: string, { inputMetadata, inputNames }: RuntimeSession): Effect.Effect<ReadonlyMap<string, InputMetadata>, OnnxEncoderError> => {
  const fail = (detail: string) => Effect.fail(failing(file)("load", detail, "Export the encoder alone, with the inputs input_ids and attention_mask and the output last_hidden_state"))
  const inputs = new Map(inputMetadata.map((each) => [each.name, each]))
  const foreign = inputNames.filter((name) => known[name] !== true)
  if (foreign.length > 0) return fail(`it takes ${foreign.join(", ")}, which are no inputs of a text encoder`)
  if (!inputs.has("input_ids")) return fail("it takes no input_ids")
  const odd = inputMetadata.find(({ type }) => !inputTypes.includes(type))
  if (odd !== undefined) return fail(`its input ${odd.name} is of type ${odd.type}`)
  const rank = inputs.get("attention_mask")?.shape.length ?? 0
  return [0, 2, 3].includes(rank) ? Effect.succeed(inputs) : fail(`its attention_mask has ${rank} dimensions`)
}

const values = (type: InputType, numbers: ArrayLike<number>) => {
  switch (type) {
    case "int64":
      return BigInt64Array.from(Array.from(numbers, BigInt))
    case "int32":
      return Int32Array.from(numbers)
    case "float32":
      return Float32Array.from(numbers)
    case "bool":
      return Uint8Array.from(numbers)
  }
}

/** An output as it comes back. */
interface RuntimeTensor {
  readonly type: string
  readonly dims: ReadonlyArray<number>
  readonly data: unknown
}

const hiddenStates = (outputs: Readonly<Record<string, RuntimeTensor>>, size: number, length: number) => {
  const output = outputs["last_hidden_state"] ?? outputs["token_embeddings"] ?? Object.values(outputs).find(({ dims }) => dims.length === 3)
  if (output === undefined) throw new Error("it returns no hidden states")
  const [batch, positions, width] = output.dims
  if (output.dims.length !== 3 || batch !== size || positions !== length) throw new Error(`it returns states of shape [${output.dims.join(", ")}] for ids of shape [${size}, ${length}]`)
  if (!(output.data instanceof Float32Array)) throw new Error(`its hidden states are of type ${output.type}; export it in float32`)
  return { width: width!, states: output.data }
}

const sessionOf = ({ Tensor }: Library, model: { (inputs: object): Promise<unknown> }, inputs: ReadonlyMap<string, InputMetadata>): OnnxSession => {
  const mask = inputs.get("attention_mask")
  const tensor = (name: string, numbers: ArrayLike<number>, shape: Array<number>) => {
    const type = inputs.get(name)!.type as InputType
    return new Tensor(type, values(type, numbers) as never, shape)
  }
  return {
    maskRank: (mask?.shape.length ?? 0) as 0 | 2 | 3,
    run: async (ids, numbers, size, length) => {
      const feeds = {
        input_ids: tensor("input_ids", ids, [size, length]),
        ...(mask === undefined ? {} : { attention_mask: tensor("attention_mask", numbers, mask.shape.length === 3 ? [size, length, length] : [size, length]) })
      }
      return hiddenStates(await model(feeds) as Readonly<Record<string, RuntimeTensor>>, size, length)
    }
  }
}

/** Opens `file` (a path inside `folder`); it is closed with the scope. */
export const openSession = (folder: string, file: string): Effect.Effect<OnnxSession, OnnxEncoderError, Scope.Scope> =>
  Effect.gen(function*() {
    const path = resolve(folder, file)
    const inside = normalize(file)
    if (isAbsolute(inside) || inside.startsWith("..") || !inside.endsWith(".onnx")) return yield* failing(path)("load", "this is no .onnx file of the encoder's folder", "Give a path such as onnx/model.onnx")
    const library = yield* loadLibrary(path)
    const { PretrainedConfig, PreTrainedModel } = library
    const model = yield* Effect.acquireRelease(
      Effect.tryPromise({
        // A type that the library does not know is run as it is: ids and mask in, hidden states out.
        try: () =>
          PreTrainedModel.from_pretrained(resolve(folder), {
            config: new PretrainedConfig({ model_type: "custom" }),
            local_files_only: true,
            subfolder: dirname(inside),
            model_file_name: basename(inside, ".onnx"),
            dtype: "fp32",
            device: "cpu",
            session_options: { intraOpNumThreads: configuredThreads() }
          }),
        catch: (cause) => failing(path)("load", `it cannot be opened (${wordsOf(cause)})`, "Give a folder with config.json, tokenizer.json and onnx/model.onnx")
      }),
      (opened) => Effect.promise(() => opened.dispose())
    )
    const inputs = yield* checkInputs(path, model.sessions["model"] as RuntimeSession)
    return sessionOf(library, model as unknown as { (inputs: object): Promise<unknown> }, inputs)
  })
