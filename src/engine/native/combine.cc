// Multiples of tensors and their sums: what a solver's step is made of, and what scales a gradient.
#include <algorithm>
#include <vector>

#include "kernels.h"
#include "pool.h"

// Each product and each sum is rounded by itself, as with TensorFlow's operations.
#include "separate_rounding.h"

namespace elf {
namespace {

// Numbers that stay in the first-level cache while all terms are added.
constexpr int64_t kBlock = 2048;

// c [count], then `count` tensors of one shape → c₀·x₀ + c₁·x₁ + …, from the left
void Combine(Run &run) {
  const int terms = run.Inputs() - 1;
  const int64_t count = run.Size(1);
  Run::Require(terms > 0 && run.Size(0) == terms, "there must be a coefficient for each tensor");
  std::vector<const float *> tensors;
  for (int term = 1; term <= terms; term++) {
    Run::Require(run.Size(term) == count, "the tensors differ in size");
    tensors.push_back(run.Input(term));
  }
  const float *c = run.Input(0);
  float *y = run.OutputLike(0, 1);
  Parallel((count + kBlock - 1) / kBlock, 8, [&](int64_t first, int64_t last) {
    for (int64_t begin = first * kBlock; begin < std::min(count, last * kBlock); begin += kBlock) {
      const int64_t end = std::min(count, begin + kBlock);
      for (int term = 0; term < terms; term++) {
        const float *x = tensors[term];
        const float factor = c[term];
        if (term == 0)
          for (int64_t i = begin; i < end; i++) y[i] = factor * x[i];
        else
          for (int64_t i = begin; i < end; i++) y[i] += factor * x[i];
      }
    }
  });
}

// x (changed), factor [] : x ← factor · x
void Scale(Run &run) {
  float *x = run.Input(0);
  Run::Require(run.Size(1) == 1, "one factor is needed");
  const float factor = run.Input(1)[0];
  if (factor == 1) return;
  Parallel(run.Size(0), kBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) x[i] *= factor;
  });
}

}  // namespace

void RegisterCombine() {
  Register<Combine>("ElfCombine", {"c: float", "x: count * float"}, {"y: float"}, {"count: int >= 1"});
  Register<Scale>("ElfScale", {"x: float", "factor: float"}, {});
}

}  // namespace elf
