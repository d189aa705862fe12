// Tokens that tell a network a number a row, forwards only: its waves through two layers, added to learned tokens.
#include <cmath>
#include <vector>

#include "kernels.h"
#include "pool.h"
#include "vector_math.h"

namespace elf {
namespace {

// Multiply-adds that are worth waking a thread for.
constexpr int64_t kWork = 1 << 17;

float Dot(const float *a, const float *b, int64_t count) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; i++) sum += a[i] * b[i];
  return sum;
}

// x [rows, inputs], weight [outputs, inputs], bias [outputs] → [rows, outputs]
std::vector<float> Dense(const std::vector<float> &x, int64_t rows, const float *weight, const float *bias, int64_t inputs, int64_t outputs) {
  std::vector<float> to(rows * outputs);
  Parallel(outputs, kWork / (rows * inputs) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t output = begin; output < end; output++)
      for (int64_t row = 0; row < rows; row++) to[row * outputs + output] = Dot(x.data() + row * inputs, weight + output * inputs, inputs) + bias[output];
  });
  return to;
}

// scalar [rows], frequencies [half], two layers [hidden, 2·half] and [hidden, hidden], tokens [1, T, hidden] → [rows, T, hidden]
void ScalarTokens(Run &run) {
  const float *scalar = run.Input(0), *frequencies = run.Input(1), *tokens = run.Input(6);
  const int64_t rows = run.Size(0), half = run.Size(1), hidden = run.Size(3), count = run.Axis(6, 1);
  Run::Require(rows > 0 && half > 0 && hidden > 0, "there are no rows or no numbers in them");
  Run::Require(run.Size(2) == hidden * 2 * half && run.Size(4) == hidden * hidden && run.Size(5) == hidden && run.Size(6) == count * hidden, "the layers and tokens do not fit each other");
  std::vector<float> waves(rows * 2 * half);
  for (int64_t row = 0; row < rows; row++)
    for (int64_t i = 0; i < half; i++) {
      const float angle = scalar[row] * frequencies[i];
      waves[row * 2 * half + i] = std::cos(angle);
      waves[row * 2 * half + half + i] = std::sin(angle);
    }
  std::vector<float> inner = Dense(waves, rows, run.Input(2), run.Input(3), 2 * half, hidden);
  for (float &x : inner) x *= Sigmoid(x);
  const std::vector<float> embedding = Dense(inner, rows, run.Input(4), run.Input(5), hidden, hidden);
  float *to = run.Output(0, {rows, count, hidden});
  for (int64_t row = 0; row < rows; row++)
    for (int64_t token = 0; token < count; token++)
      for (int64_t i = 0; i < hidden; i++) to[(row * count + token) * hidden + i] = tokens[token * hidden + i] + embedding[row * hidden + i];
}

}  // namespace

void RegisterScalarTokens() {
  Register<ScalarTokens>("ElfScalarTokens",
                         {"scalar: float", "frequencies: float", "weight1: float", "bias1: float", "weight2: float", "bias2: float", "tokens: float"}, {"y: float"});
}

}  // namespace elf
