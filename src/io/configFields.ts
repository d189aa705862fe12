/**
 * Fields of the `config.json` that folders of models have.
 */
import { Effect, Schema } from "effect"

/** A whole number from 1 to `largest`: one without bounds would be believed before the weights are looked at. */
export const upTo = (largest: number) => Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: largest }))

/** A key that older files leave out, with the value that it then has. */
export const keyed = <S extends Schema.Top>(schema: S, value: S["Encoded"]) => schema.pipe(Schema.withDecodingDefaultKey(Effect.succeed(value)))
