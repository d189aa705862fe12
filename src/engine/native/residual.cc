// Adding a product and its bias to the residual stream, and sums over rows.
#include "block_sums.h"
#include "kernels.h"
#include "pool.h"

namespace elf {
namespace {

constexpr int64_t kBlock = 64;

// x [rows, width], product [rows, width], bias [width] → x + product + bias
void Forward(Run &run) {
  const float *x = run.Input(0), *product = run.Input(1), *bias = run.Input(2);
  const int64_t width = run.Size(2);
  Run::Require(run.Size(0) == run.Size(1), "the product has another shape than the stream");
  Run::Require(width > 0 && run.Axis(0, -1) == width, "the bias is not as long as a row");
  const int64_t rows = run.Size(0) / width;
  float *y = run.OutputLike(0, 0);
  Parallel(rows, 32, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const int64_t at = row * width;
      for (int64_t i = 0; i < width; i++) y[at + i] = x[at + i] + (product[at + i] + bias[i]);
    }
  });
}

// x [rows, width] → Σ over rows [width]
void ColumnSum(Run &run) {
  const float *x = run.Input(0);
  const int64_t width = run.Axis(0, -1);
  Run::Require(width > 0, "the rows are empty");
  const int64_t rows = run.Size(0) / width;
  float *sum = run.Output(0, {width});
  SumOverRows(rows, kBlock, width, sum, [&](int64_t row, float *to) {
    for (int64_t i = 0; i < width; i++) to[i] += x[row * width + i];
  });
}

}  // namespace

void RegisterResidual() {
  Register<Forward>("ElfResidual", {"x: float", "product: float", "bias: float"}, {"y: float"});
  Register<ColumnSum>("ElfColumnSum", {"x: float"}, {"sum: float"});
}

}  // namespace elf
