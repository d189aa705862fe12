// Softmax of rows, forwards and backwards in one pass each.
#include "kernels.h"
#include "pool.h"
#include "vector_math.h"

namespace elf {
namespace {

// x [..., width] → softmax over the last axis
void Forward(Run &run) {
  const float *x = run.Input(0);
  const int64_t width = run.Axis(0, -1), rows = width == 0 ? 0 : run.Size(0) / width;
  float *y = run.OutputLike(0, 0);
  Parallel(rows, 32, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const float *from = x + row * width;
      float *to = y + row * width, greatest = from[0], total = 0;
#pragma omp simd reduction(max : greatest)
      for (int64_t i = 0; i < width; i++) greatest = from[i] > greatest ? from[i] : greatest;
#pragma omp simd reduction(+ : total)
      for (int64_t i = 0; i < width; i++) {
        to[i] = Exp(from[i] - greatest);
        total += to[i];
      }
      const float scale = 1.0f / total;
      for (int64_t i = 0; i < width; i++) to[i] *= scale;
    }
  });
}

// dy, y → y · (dy − Σ dy·y)
void Backward(Run &run) {
  const float *dy = run.Input(0), *y = run.Input(1);
  const int64_t width = run.Axis(1, -1), rows = width == 0 ? 0 : run.Size(1) / width;
  Run::Require(run.Size(0) == run.Size(1), "the gradient has another shape than the softmax");
  float *dx = run.OutputLike(0, 1);
  Parallel(rows, 32, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const int64_t at = row * width;
      float along = 0;
#pragma omp simd reduction(+ : along)
      for (int64_t i = 0; i < width; i++) along += dy[at + i] * y[at + i];
      for (int64_t i = 0; i < width; i++) dx[at + i] = y[at + i] * (dy[at + i] - along);
    }
  });
}

}  // namespace

void RegisterSoftmax() {
  Register<Forward>("ElfSoftmax", {"x: float"}, {"y: float"});
  Register<Backward>("ElfSoftmaxGradient", {"dy: float", "y: float"}, {"dx: float"});
}

}  // namespace elf
