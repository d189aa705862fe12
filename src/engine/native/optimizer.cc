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

// Tensors → Σ of all their squares
void Squares(Run &run) {
  double total = 0;
  for (int i = 0; i < run.Inputs(); i++) total += SumOfSquares(run.Input(i), run.Size(i));
  run.Output(0, {})[0] = static_cast<float>(total);
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

// The length of each of some lists, which lie behind each other: tensors at one place in all of them have one size.
int64_t ListLength(Run &run, int lists) {
  const int64_t count = (run.Inputs() - 1) / lists;
  Run::Require(run.Inputs() == 1 + lists * count, "lists of one length and coefficients are needed");
  for (int64_t i = 0; i < lists * count; i++) Run::Require(run.Size(i) == run.Size(i % count), "tensors that belong together differ in size");
  return count;
}

// values, means, variances (all changed), gradients, c [9]: for each
// mean ← c₀·mean + c₁·gradient; variance ← c₂·variance + c₃·gradient²;
// value ← c₇·value − c₈·(c₄·mean + c₅·gradient) / (c₆·√variance + ε)
void Adam(Run &run) {
  constexpr float kEpsilon = 1e-8f;
  const int64_t count = ListLength(run, 4);
  Run::Require(run.Size(4 * count) == 9, "nine coefficients are needed");
  const float *c = run.Input(4 * count);
  for (int64_t tensor = 0; tensor < count; tensor++) {
    float *value = run.Input(tensor), *mean = run.Input(count + tensor), *variance = run.Input(2 * count + tensor);
    const float *gradient = run.Input(3 * count + tensor);
    Parallel(run.Size(tensor), kSumBlock, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        const float g = gradient[i];
        mean[i] = c[0] * mean[i] + c[1] * g;
        variance[i] = c[2] * variance[i] + c[3] * g * g;
        value[i] = c[7] * value[i] - c[8] * (c[4] * mean[i] + c[5] * g) / (c[6] * std::sqrt(variance[i]) + kEpsilon);
      }
    });
  }
}

// averages (changed), values, c [1]: for each average ← average + c₀·(value − average)
void Average(Run &run) {
  const int64_t count = ListLength(run, 2);
  Run::Require(run.Size(2 * count) == 1, "one coefficient is needed");
  const float share = run.Input(2 * count)[0];
  for (int64_t tensor = 0; tensor < count; tensor++) {
    float *average = run.Input(tensor);
    const float *value = run.Input(count + tensor);
    Parallel(run.Size(tensor), kSumBlock, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) average[i] += share * (value[i] - average[i]);
    });
  }
}

}  // namespace

void RegisterOptimizer() {
  Register<Squares>("ElfSquares", {"x: count * float"}, {"sum: float"}, {"count: int >= 1"});
  Register<Muon>("ElfMuon", {"c: float", "steps: float", "values: count * float", "momenta: count * float", "gradients: count * float"}, {}, {"count: int >= 1"});
  Register<Adam>("ElfAdam", {"values: count * float", "means: count * float", "variances: count * float", "gradients: count * float", "c: float"}, {}, {"count: int >= 1"});
  Register<Average>("ElfAverage", {"averages: count * float", "values: count * float", "c: float"}, {}, {"count: int >= 1"});
}

}  // namespace elf
