// Root-mean-square normalisation of rows, forwards and backwards in one pass each.
#include "kernels.h"

#include "block_sums.h"
#include "pool.h"

namespace elf {
namespace {

constexpr float kEpsilon = 1e-6f;
// Rows whose contributions to a weight's gradient are added up together: fixed, so that sums do not depend on threads.
constexpr int64_t kBlock = 64;

float SumOfSquares(const float *x, int64_t width) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < width; i++) sum += x[i] * x[i];
  return sum;
}

// x, weight → y, inverse
void Forward(Run &run) {
  const float *x = run.Input(0), *weight = run.Input(1);
  const int64_t width = run.Size(1);
  Run::Require(width > 0 && run.Axis(0, -1) == width, "the weight is not as long as a row");
  const int64_t rows = run.Size(0) / width;
  float *y = run.OutputLike(0, 0), *inverse = run.Output(1, {rows});
  Parallel(rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const float *from = x + row * width;
      float *to = y + row * width;
      const float scale = 1.0f / std::sqrt(SumOfSquares(from, width) / width + kEpsilon);
      inverse[row] = scale;
      for (int64_t i = 0; i < width; i++) to[i] = from[i] * scale * weight[i];
    }
  });
}

// dy, x, weight, inverse → dx, dweight
void Backward(Run &run) {
  const float *dy = run.Input(0), *x = run.Input(1), *weight = run.Input(2), *inverse = run.Input(3);
  const int64_t width = run.Size(2), rows = run.Size(3);
  Run::Require(width > 0 && run.Size(1) == rows * width && run.Size(0) == run.Size(1), "x, its gradient, weight and inverse do not fit each other");
  float *dx = run.OutputLike(0, 0), *dweight = run.Output(1, {width});
  SumOverRows(rows, kBlock, width, dweight, [&](int64_t row, float *sum) {
    const float *upstream = dy + row * width, *from = x + row * width;
    float *to = dx + row * width;
    const float scale = inverse[row];
    float along = 0;
#pragma omp simd reduction(+ : along)
    for (int64_t i = 0; i < width; i++) along += upstream[i] * weight[i] * from[i];
    const float share = along * scale * scale / width;
    for (int64_t i = 0; i < width; i++) {
      to[i] = scale * (upstream[i] * weight[i] - from[i] * share);
      sum[i] += upstream[i] * from[i] * scale;
    }
  });
}

}  // namespace

void RegisterRmsNorm() {
  Register<Forward>("ElfRmsNorm", {"x: float", "weight: float"}, {"y: float", "inverse: float"});
  Register<Backward>("ElfRmsNormGradient", {"dy: float", "x: float", "weight: float", "inverse: float"}, {"dx: float", "dweight: float"});
}

}  // namespace elf
