// The gate of the feed-forward layer: silu(a) · b of two halves of a row, with the bias of the product before it; and gelu.
#include "block_sums.h"
#include "kernels.h"
#include "pool.h"
#include "vector_math.h"

namespace elf {
namespace {

constexpr int64_t kBlock = 32;

// x [rows, 2·inner], bias [2·inner] → y [rows, inner]
void Forward(Run &run) {
  const float *x = run.Input(0), *bias = run.Input(1);
  const int64_t width = run.Size(1), inner = width / 2;
  Run::Require(inner > 0 && width % 2 == 0 && run.Axis(0, -1) == width, "the bias is not as long as a row of two halves");
  const int64_t rows = run.Size(0) / width;
  float *y = run.Output(0, {rows, inner});
  Parallel(rows, 8, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const float *left = x + row * width, *right = left + inner;
      float *to = y + row * inner;
#pragma omp simd
      for (int64_t i = 0; i < inner; i++) {
        const float a = left[i] + bias[i];
        to[i] = a * Sigmoid(a) * (right[i] + bias[inner + i]);
      }
    }
  });
}

// dy [rows, inner], x [rows, 2·inner], bias → dx [rows, 2·inner], dbias [2·inner]
void Backward(Run &run) {
  const float *dy = run.Input(0), *x = run.Input(1), *bias = run.Input(2);
  const int64_t width = run.Size(2), inner = width / 2;
  Run::Require(inner > 0 && width % 2 == 0 && run.Axis(1, -1) == width && 2 * run.Size(0) == run.Size(1), "x, its gate's gradient and the bias do not fit each other");
  const int64_t rows = run.Size(1) / width;
  float *dx = run.OutputLike(0, 1), *dbias = run.Output(1, {width});
  SumOverRows(rows, kBlock, width, dbias, [&](int64_t row, float *sum) {
    const float *upstream = dy + row * inner, *left = x + row * width, *right = left + inner;
    float *to = dx + row * width;
#pragma omp simd
    for (int64_t i = 0; i < inner; i++) {
      const float a = left[i] + bias[i], b = right[i] + bias[inner + i];
      const float sigmoid = Sigmoid(a), activated = a * sigmoid;
      const float da = upstream[i] * b * (sigmoid + activated * (1.0f - sigmoid)), db = upstream[i] * activated;
      to[i] = da;
      to[inner + i] = db;
      sum[i] += da;
      sum[inner + i] += db;
    }
  });
}

// x → x · sigmoid(2 · √(2/π) · (x + 0.044715 x³)), forwards only
void Gelu(Run &run) {
  const float *x = run.Input(0);
  float *y = run.OutputLike(0, 0);
  Parallel(run.Size(0), 1 << 13, [&](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; i++) y[i] = x[i] * Sigmoid((x[i] + x[i] * x[i] * x[i] * 0.044715f) * 1.5957691216057308f);
  });
}

}  // namespace

void RegisterGate() {
  Register<Forward>("ElfGate", {"x: float", "bias: float"}, {"y: float"});
  Register<Backward>("ElfGateGradient", {"dy: float", "x: float", "bias: float"}, {"dx: float", "dbias: float"});
  Register<Gelu>("ElfGelu", {"x: float"}, {"y: float"});
}

}  // namespace elf
