/**
 * The metrics of a training run for whoever collects them: gauges of Effect's, which go to OpenTelemetry where it is
 * configured.
 */
import { Effect, Metric } from "effect"
import type { MetricsLog } from "../io/index.ts"

const gauge = (name: string, description: string) => Metric.gauge(`elf.train.${name}`, { description })

const gauges = {
  step: gauge("step", "Batches trained on"),
  updates: gauge("updates", "Optimiser updates made"),
  loss: gauge("loss", "Loss of the batch"),
  denoiserLoss: gauge("denoiser_loss", "Mean squared error of denoiser rows"),
  decoderLoss: gauge("decoder_loss", "Cross-entropy of decoder rows, in nats"),
  gradientNorm: gauge("gradient_norm", "Global norm of the gradient, before clipping"),
  learningRate: gauge("learning_rate", "Learning rate of the update"),
  heldOutLoss: gauge("held_out_loss", "Loss on held-out rows")
} as const

/** Sets the gauges that `metrics` has a finite value for. */
export const setGauges = (metrics: MetricsLog.StepMetrics): Effect.Effect<void> =>
  Effect.forEach(Object.entries(gauges), ([name, gauge]) => {
    const value = metrics[name]
    return typeof value === "number" && Number.isFinite(value) ? Metric.update(gauge, value) : Effect.void
  }, { discard: true })
