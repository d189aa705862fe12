// The velocity towards a prediction, and how far it is from another one.
#include <algorithm>

#include "block_sums.h"
#include "kernels.h"
#include "pool.h"

// Each difference and each product is rounded by itself, as with TensorFlow's operations.
#include "separate_rounding.h"

namespace elf {
namespace {

// Numbers that are worth waking a thread for, and tokens whose losses are added up together.
constexpr int64_t kWork = 1 << 14, kTokens = 32;

float Remaining(float t, float least) { return std::max(1.0f - t, least); }

// prediction, z [rows, ...], t [rows], least [] → (prediction − z) / max(1 − t, least)
void Velocity(Run &run) {
  const float *prediction = run.Input(0), *z = run.Input(1), *t = run.Input(2);
  const int64_t count = run.Size(1), rows = run.Size(2);
  Run::Require(run.Size(0) == count && rows > 0 && count % rows == 0, "prediction, state and times do not fit each other");
  Run::Require(run.Size(3) == 1, "one least time is needed");
  const int64_t width = count / rows;
  const float least = run.Input(3)[0];
  float *y = run.OutputLike(0, 1);
  Parallel(rows, std::max<int64_t>(1, kWork / std::max<int64_t>(1, width)), [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++) {
      const float remaining = Remaining(t[row], least);
      for (int64_t i = row * width; i < (row + 1) * width; i++) y[i] = (prediction[i] - z[i]) / remaining;
    }
  });
}

// prediction, z, target [rows, S, D], t [rows], weights [rows, S], least [] → Σ weight · mean over D of (velocity − target)²,
// and its gradient with respect to the prediction
void VelocityLoss(Run &run) {
  const float *prediction = run.Input(0), *z = run.Input(1), *target = run.Input(2), *t = run.Input(3), *weights = run.Input(4);
  const int64_t rows = run.Size(3), tokens = run.Size(4), width = run.Axis(0, -1);
  Run::Require(rows > 0 && tokens % rows == 0 && width > 0, "times and weights do not fit each other");
  for (int input : {0, 1, 2}) Run::Require(run.Size(input) == tokens * width, "prediction, state, target and weights do not fit each other");
  Run::Require(run.Size(5) == 1, "one least time is needed");
  const float least = run.Input(5)[0];
  float *gradient = run.OutputLike(1, 0);
  const double loss = SumOverNumbers(tokens, [&](int64_t begin, int64_t end) {
    double sum = 0;
    for (int64_t token = begin; token < end; token++) {
      const float remaining = Remaining(t[token / (tokens / rows)], least), slope = 2 * weights[token] / (width * remaining);
      float squares = 0;
#pragma omp simd reduction(+ : squares)
      for (int64_t i = token * width; i < (token + 1) * width; i++) {
        const float distance = (prediction[i] - z[i]) / remaining - target[i];
        squares += distance * distance;
        gradient[i] = distance * slope;
      }
      sum += static_cast<double>(squares / width * weights[token]);
    }
    return sum;
  }, kTokens);
  run.Output(0, {})[0] = static_cast<float>(loss);
}

}  // namespace

void RegisterVelocity() {
  Register<Velocity>("ElfVelocity", {"prediction: float", "z: float", "t: float", "least: float"}, {"y: float"});
  Register<VelocityLoss>("ElfVelocityLoss", {"prediction: float", "z: float", "target: float", "t: float", "weights: float", "least: float"}, {"loss: float", "gradient: float"});
}

}  // namespace elf
