/**
 * OpenTelemetry: spans and metrics go to the collector that the usual environment variables name, else nowhere.
 */
import { ConfigProvider, Effect, Layer } from "effect"
import { version } from "../version.ts"

const isWanted = (environment: Readonly<Record<string, string | undefined>>): boolean =>
  ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"].some((name) => (environment[name] ?? "") !== "")

/** The specification's default, where Effect would export nothing. */
const withExporter = (environment: Readonly<Record<string, string | undefined>>): Record<string, string> =>
  Object.fromEntries(Object.entries({ OTEL_TRACES_EXPORTER: "otlp", OTEL_METRICS_EXPORTER: "otlp", ...environment }).filter((entry): entry is [string, string] => entry[1] !== undefined))

const exporter = (environment: Readonly<Record<string, string | undefined>>) =>
  Effect.promise(async () => {
    const [FetchHttpClient, { OtlpMetrics, OtlpSerialization, OtlpTracer }] = await Promise.all([import("effect/http/FetchHttpClient"), import("effect/observability")])
    const asJson = (environment["OTEL_EXPORTER_OTLP_PROTOCOL"] ?? "").includes("json")
    const resource = { serviceName: environment["OTEL_SERVICE_NAME"] ?? "elf-streams", serviceVersion: version }
    return Layer.merge(OtlpTracer.layerFromConfig({ resource }), OtlpMetrics.layerFromConfig({ resource })).pipe(
      Layer.provide(asJson ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf),
      Layer.provide(FetchHttpClient.layer),
      Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: withExporter(environment) })))
    )
  })

/** Exports spans and metrics while the program runs, and what is left when it ends. Loads nothing where no collector is named. */
export const telemetryLayer: Layer.Layer<never> = Layer.unwrap(
  Effect.suspend((): Effect.Effect<Layer.Layer<never>> => isWanted(process.env) ? Effect.map(exporter(process.env), (layer) => layer as Layer.Layer<never>) : Effect.succeed(Layer.empty))
)
