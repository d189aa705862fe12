// Optimiser updates in place, one pass over each tensor. Inputs that are said to be changed must not be shared.
#include <algorithm>
#include <vector>

#include "block_sums.h"
#include "kernels.h"
#include "newton_schulz.h"
#include "pool.h"

namespace elf {
namespace {

// Steps of Newton–Schulz in one update.
constexpr int64_t kSteps = 5;

// x → Σ x²
void Squares(Run &run) {
  run.Output(0, {})[0] = static_cast<float>(SumOfSquares(run.Input(0), run.Size(0)));
}

// A matrix that is updated: momentum ← c₀·momentum + c₁·gradient; value ← value − step·orthogonal(c₂·momentum + c₃·gradient)
struct Updated {
  float *value, *momentum;
  const float *gradient;
  int64_t rows, columns;
  float step;

  // How much there is to multiply, about.
  double Work() const {
    const double shorter = std::min(rows, columns);
    return shorter * rows * columns + 6 * shorter * shorter * shorter;
  }

  void Update(const float *c) const {
    const AlignedBuffer direction = Allocate(rows * columns);
    float *to = direction.get();
    const double squares = SumOverNumbers(rows * columns, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        momentum[i] = c[0] * momentum[i] + c[1] * gradient[i];
        to[i] = c[2] * momentum[i] + c[3] * gradient[i];
      }
      return BlockSquares(to + begin, end - begin);
    });
    NewtonSchulz(to, rows, columns, squares, kSteps, [&](int64_t row, int64_t column, int64_t height, int64_t width, const Block &block) {
      for (int64_t i = 0; i < height; i++)
        for (int64_t j = 0; j < width; j++) value[(row + i) * columns + column + j] -= step * block.value[i][j];
    });
  }
};

// c [4], steps [count], then matrices: values (changed), momenta (changed), gradients. A matrix that is more than a thread's share
// is updated by all threads together; the others follow, the largest first, each on the next thread that is free.
void Muon(Run &run) {
  const int64_t count = (run.Inputs() - 2) / 3;
  Run::Require(count > 0 && run.Inputs() == 2 + 3 * count && run.Size(0) == 4 && run.Size(1) == count, "four coefficients, and a step and three tensors for each matrix are needed");
  const float *c = run.Input(0);
  std::vector<Updated> matrices;
  double work = 0;
  for (int64_t i = 0; i < count; i++) {
    const int64_t value = 2 + i, momentum = value + count, gradient = momentum + count, rows = run.Axis(value, 0), columns = run.Axis(value, 1);
    for (int64_t tensor : {value, momentum, gradient})
      Run::Require(run.Axis(tensor, 0) == rows && run.Axis(tensor, 1) == columns && run.Size(tensor) == rows * columns && rows * columns > 0, "a matrix, its momentum and its gradient differ in shape");
    matrices.push_back({run.Input(value), run.Input(momentum), run.Input(gradient), rows, columns, run.Input(1)[i]});
    work += matrices.back().Work();
  }
  std::stable_sort(matrices.begin(), matrices.end(), [](const Updated &a, const Updated &b) { return a.Work() > b.Work(); });
  int64_t large = 0;
  while (large < count && matrices[large].Work() * Threads() > work) matrices[large++].Update(c);
  EachInTurn(count - large, [&](int64_t i) { matrices[large + i].Update(c); });
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
  Parallel(run.Size(0), kSumBlock, [&](int64_t begin, int64_t end) {
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
  Parallel(run.Size(0), kSumBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) average[i] += share * (value[i] - average[i]);
  });
}

}  // namespace

void RegisterOptimizer() {
  Register<Squares>("ElfSquares", {"x: float"}, {"sum: float"});
  Register<Muon>("ElfMuon", {"c: float", "steps: float", "values: count * float", "momenta: count * float", "gradients: count * float"}, {}, {"count: int >= 1"});
  Register<Adam>("ElfAdam", {"value: float", "mean: float", "variance: float", "gradient: float", "c: float"}, {});
  Register<Average>("ElfAverage", {"average: float", "value: float", "c: float"}, {});
}

}  // namespace elf
