// Softmax over a large vocabulary: losses with their gradient, without a pass for the bias.
#include "block_sums.h"
#include "kernels.h"
#include "pool.h"
#include "vector_math.h"

namespace elf {
namespace {

constexpr int64_t kBlock = 32;

float Greatest(const float *x, const float *bias, int64_t width) {
  float greatest = x[0] + bias[0];
#pragma omp simd reduction(max : greatest)
  for (int64_t i = 0; i < width; i++) {
    const float value = x[i] + bias[i];
    greatest = value > greatest ? value : greatest;
  }
  return greatest;
}

// logits [rows, V], bias [V], targets [rows] int32, weights [rows] → losses [rows], dbias [V].
// The logits become the gradient with respect to them, times the row's weight: nobody else may hold them.
void CrossEntropy(Run &run) {
  float *logits = run.Input(0);
  const float *bias = run.Input(1), *weights = run.Input(3);
  const int32_t *targets = run.Input<int32_t>(2);
  const int64_t width = run.Size(1), rows = run.Size(2);
  Run::Require(width > 0 && run.Size(0) == rows * width && run.Size(3) == rows, "the logits do not fit bias and targets");
  for (int64_t row = 0; row < rows; row++) Run::Require(targets[row] >= 0 && targets[row] < width, "a target is no token of the vocabulary");
  float *losses = run.Output(0, {rows}), *dbias = run.Output(1, {width});
  SumOverRows(rows, kBlock, width, dbias, [&](int64_t row, float *sums) {
    float *x = logits + row * width;
    const float greatest = Greatest(x, bias, width), target = x[targets[row]] + bias[targets[row]] - greatest;
    float total = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t i = 0; i < width; i++) {
      x[i] = Exp(x[i] + bias[i] - greatest);
      total += x[i];
    }
    losses[row] = std::log(total) - target;
    const float scale = weights[row] / total;
    x[targets[row]] -= total;
    for (int64_t i = 0; i < width; i++) {
      x[i] *= scale;
      sums[i] += x[i];
    }
  });
}

}  // namespace

void RegisterCrossEntropy() {
  Register<CrossEntropy>("ElfCrossEntropy", {"logits: float", "bias: float", "targets: int32", "weights: float"}, {"losses: float", "dbias: float"});
}

}  // namespace elf
