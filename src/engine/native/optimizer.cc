// Optimiser updates in place, one pass over each tensor. Inputs that are said to be changed must not be shared.
#include <vector>

#include "kernels.h"
#include "pool.h"

namespace elf {
namespace {

// Numbers whose squares are added up together, so that a sum does not depend on threads.
constexpr int64_t kBlock = 1 << 14;

double BlockSquares(const float *x, int64_t count) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; i++) sum += x[i] * x[i];
  return sum;
}

template <typename Body>
double SumOverBlocks(int64_t count, const Body &body) {
  const int64_t blocks = (count + kBlock - 1) / kBlock;
  std::vector<double> sums(blocks);
  Parallel(blocks, 2, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; block++) sums[block] = body(block * kBlock, std::min(count, (block + 1) * kBlock));
  });
  double total = 0;
  for (double sum : sums) total += sum;
  return total;
}

// x → Σ x²
void Squares(Run &run) {
  const float *x = run.Input(0);
  run.Output(0, {})[0] = static_cast<float>(SumOverBlocks(run.Size(0), [&](int64_t begin, int64_t end) { return BlockSquares(x + begin, end - begin); }));
}

// momentum (changed), gradient, c [4] → direction, Σ direction²
// momentum ← c₀·momentum + c₁·gradient; direction = c₂·momentum + c₃·gradient
void Momentum(Run &run) {
  Run::Require(run.Size(0) == run.Size(1) && run.Size(2) == 4, "momentum and gradient differ in size");
  float *momentum = run.Input(0), *direction = run.OutputLike(0, 1);
  const float *gradient = run.Input(1), *c = run.Input(2);
  run.Output(1, {})[0] = static_cast<float>(SumOverBlocks(run.Size(1), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      momentum[i] = c[0] * momentum[i] + c[1] * gradient[i];
      direction[i] = c[2] * momentum[i] + c[3] * gradient[i];
    }
    return BlockSquares(direction + begin, end - begin);
  }));
}

// value (changed), direction, c [1]: value ← value − c₀·direction
void Subtract(Run &run) {
  float *value = run.Input(0);
  Run::Require(run.Size(0) == run.Size(1) && run.Size(2) == 1, "value and direction differ in size");
  const float *direction = run.Input(1), step = run.Input(2)[0];
  Parallel(run.Size(0), kBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) value[i] -= step * direction[i];
  });
}

// value, mean, variance (all changed), gradient, c [9]:
// mean ← c₀·mean + c₁·gradient; variance ← c₂·variance + c₃·gradient²;
// value ← c₇·value − c₈·(c₄·mean + c₅·gradient) / (c₆·√variance + ε)
void Adam(Run &run) {
  constexpr float kEpsilon = 1e-8f;
  float *value = run.Input(0), *mean = run.Input(1), *variance = run.Input(2);
  const float *gradient = run.Input(3), *c = run.Input(4);
  for (int input = 1; input < 4; input++) Run::Require(run.Size(input) == run.Size(0), "value, moments and gradient differ in size");
  Run::Require(run.Size(4) == 9, "nine coefficients are needed");
  Parallel(run.Size(0), kBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const float g = gradient[i];
      mean[i] = c[0] * mean[i] + c[1] * g;
      variance[i] = c[2] * variance[i] + c[3] * g * g;
      value[i] = c[7] * value[i] - c[8] * (c[4] * mean[i] + c[5] * g) / (c[6] * std::sqrt(variance[i]) + kEpsilon);
    }
  });
}

// average (changed), value, c [1]: average ← average + c₀·(value − average)
void Average(Run &run) {
  float *average = run.Input(0);
  Run::Require(run.Size(0) == run.Size(1) && run.Size(2) == 1, "average and value differ in size");
  const float *value = run.Input(1), share = run.Input(2)[0];
  Parallel(run.Size(0), kBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) average[i] += share * (value[i] - average[i]);
  });
}

}  // namespace

void RegisterOptimizer() {
  Register<Squares>("ElfSquares", {"x: float"}, {"sum: float"});
  Register<Momentum>("ElfMomentum", {"momentum: float", "gradient: float", "c: float"}, {"direction: float", "squares: float"});
  Register<Subtract>("ElfSubtract", {"value: float", "direction: float", "c: float"}, {});
  Register<Adam>("ElfAdam", {"value: float", "mean: float", "variance: float", "gradient: float", "c: float"}, {});
  Register<Average>("ElfAverage", {"average: float", "value: float", "c: float"}, {});
}

}  // namespace elf
