/**
 * Where a run's encoder is: a folder, a model that ships with the package, or a repository of a hub.
 *
 * @since 0.1.0
 */
import { Effect, Schema } from "effect"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Hub, type RunConfig } from "../io/index.ts"

/** The folder of the models that ship with the package. */
export const shippedModels = fileURLToPath(new URL("../../models", import.meta.url))

/** The encoders that ship with the package, by the name that a run file gives. */
const shippedEncoders: Readonly<Record<string, string>> = { sotu: "encoder-sotu" }

/** Short names, which the reference uses too, and the repositories behind them. */
const shortNames: Readonly<Record<string, string>> = Object.fromEntries(
  ["t5-small", "t5-base", "t5-large", "t5-3b", "t5-11b"].map((name) => [name, `google-t5/${name}`])
)

/** A run file's encoder does not fit: unknown name, or other sizes than the network expects. */
export class EncoderError extends Schema.TaggedError<EncoderError>()("EncoderError", {
  encoder: Schema.String,
  detail: Schema.String,
  remedy: Schema.String
}) {
  override get message(): string {
    return `The encoder ${this.encoder} cannot be used: ${this.detail}. ${this.remedy}.`
  }
}

/** A place that files can be had from. */
export interface EncoderPlace {
  /** What people call it: a path, or a repository and its commit. */
  readonly name: string
  /** Folder that the files are in once they have been asked for. */
  readonly folder: string
  /** The path of a file; undefined where the place does not have it. */
  readonly file: (path: string) => Effect.Effect<string | undefined, Hub.HubError>
}

/** A folder, whatever it holds. */
export const folderPlace = (folder: string): EncoderPlace => ({
  name: folder,
  folder,
  file: (path) => Effect.sync(() => existsSync(join(folder, path)) ? join(folder, path) : undefined)
})

/** A repository of a hub, under any of its names; no more than its `config.json` is fetched. */
export const hubPlace = (repositories: readonly [string, ...ReadonlyArray<string>], revision: string): Effect.Effect<EncoderPlace, Hub.HubError> =>
  Effect.map(
    Hub.snapshot({ repositories, revision, file: "config.json" }),
    ({ commit, file, folder, repository }): EncoderPlace => ({ name: `${repository} at ${commit.slice(0, 12)}`, folder, file })
  )

const encoderRepository = (name: string, revision: string): Effect.Effect<EncoderPlace, Hub.HubError> => {
  const full = shortNames[name]
  return hubPlace(full === undefined ? [name] : [full, name], revision)
}

const unknownName = (name: string): EncoderError =>
  new EncoderError({
    encoder: name,
    detail: "it is no name of an encoder",
    remedy: `Use ${[...Object.keys(shippedEncoders), ...Object.keys(shortNames)].join(", ")} or owner/name of a hub, or give encoder.path`
  })

/** Finds the encoder of a run; of a hub's repository no more than `config.json` is fetched. */
export const encoderPlace = ({ name = "t5-small", path, revision = "main" }: RunConfig.RunConfig["encoder"]): Effect.Effect<EncoderPlace, EncoderError | Hub.HubError> => {
  if (path !== undefined) return Effect.succeed(folderPlace(path))
  const shipped = shippedEncoders[name]
  if (shipped !== undefined) return Effect.succeed(folderPlace(join(shippedModels, shipped)))
  return name.includes("/") || shortNames[name] !== undefined ? encoderRepository(name, revision) : Effect.fail(unknownName(name))
}
