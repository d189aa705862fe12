/**
 * What can go wrong between the processes that train one network.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/** This process cannot be one of several. */
export class CollectiveUnavailableError extends Schema.TaggedError<CollectiveUnavailableError>()("CollectiveUnavailableError", {
  why: Schema.String,
  remedy: Schema.String
}) {
  override get message(): string {
    return `Training on several processes is not possible here: ${this.why}. ${this.remedy}.`
  }
}

/** A process of the group ended, or does not answer any more. The others cannot go on without it. */
export class PeerLostError extends Schema.TaggedError<PeerLostError>()("PeerLostError", {
  /** The rank that was lost. */
  rank: Schema.Number,
  /** Its `host:port`. */
  address: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `Rank ${this.rank} (${this.address}) was lost: it ${this.detail}. Start all ranks again; with --resume they go on from the last checkpoint.`
  }
}

/** What all processes must have alike is not. */
export class RanksDifferError extends Schema.TaggedError<RanksDifferError>()("RanksDifferError", {
  /** What was compared, e.g. `the weights at step 100`. */
  subject: Schema.String,
  /** The ranks that have it otherwise than rank 0. */
  ranks: Schema.Array(Schema.Number),
  remedy: Schema.String
}) {
  override get message(): string {
    const [noun, verb] = this.ranks.length === 1 ? ["Rank", "differs"] : ["Ranks", "differ"]
    return `${noun} ${this.ranks.join(", ")} ${verb} from rank 0 in ${this.subject}. ${this.remedy}.`
  }
}
