/**
 * What keeps a process from working in a cluster.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import type { SqlError } from "effect/sql"

const Reason = Schema.Literals(["driver", "url", "connection", "login", "permission", "query"])

/** What is wrong with the cluster as a whole, at which place, and what to do. */
export class ClusterError extends Schema.TaggedError<ClusterError>()("ClusterError", {
  reason: Reason,
  /** Host, port and database, never the password. */
  place: Schema.String,
  detail: Schema.String,
  remedy: Schema.String
}) {
  override get message(): string {
    return `${this.place}: ${this.detail}. ${this.remedy}`
  }
}

/** A unit of work cannot be done, and the job was told to stop at the first such unit. */
export class UnitFailedError extends Schema.TaggedError<UnitFailedError>()("UnitFailedError", {
  unit: Schema.String,
  runner: Schema.String,
  detail: Schema.String,
  /** Units that failed so far, this one among them. */
  failed: Schema.Int
}) {
  override get message(): string {
    const others = this.failed > 1 ? ` (and ${this.failed - 1} more)` : ""
    return `${this.unit}${others} failed on ${this.runner}: ${this.detail} What is published stays; the same command tries the rest again.`
  }
}

const remedies: Readonly<Partial<Record<ClusterError["reason"], string>>> = {
  connection: "Check that PostgreSQL runs there and that this machine may reach it",
  login: "Check user and password of the URL, and pg_hba.conf on the server",
  permission: "The user must be allowed to create a schema: GRANT CREATE ON DATABASE … TO …"
}

const reasonOf = (error: SqlError.SqlError): ClusterError["reason"] => {
  switch (error.reason._tag) {
    case "ConnectionError":
      return "connection"
    case "AuthenticationError":
      return "login"
    case "AuthorizationError":
      return "permission"
    default:
      return "query"
  }
}

/** The innermost message that says more than its wrapper. */
const said = (error: unknown): string => {
  const { cause, message } = error as { readonly message?: string; readonly cause?: unknown }
  return cause instanceof Error && cause !== error ? said(cause) : String(message ?? error).replace(/\.$/, "")
}

/** Turns a failure of the database at `place` into a {@link ClusterError}. */
export const fromSqlError = (place: string) => (error: SqlError.SqlError): ClusterError => {
  const reason = reasonOf(error)
  return new ClusterError({ reason, place, detail: said(error), remedy: `${remedies[reason] ?? "Try again, or look at the server's log"}.` })
}
