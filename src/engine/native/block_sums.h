// Sums on several threads, in blocks of a fixed size: the number of threads changes no sum.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "pool.h"

namespace elf {

// sum[i] = Σ of what `add` adds for each row: `add(row, own)` adds to `own`, which has `width` values. `block` rows are
// added up together and the blocks in their order, so that the number of threads changes no sum.
template <typename Add>
void SumOverRows(int64_t rows, int64_t block, int64_t width, float *sum, const Add &add) {
  const int64_t blocks = (rows + block - 1) / block;
  std::vector<float> partial(blocks * width);
  Parallel(blocks, 1, [&](int64_t first, int64_t last) {
    for (int64_t at = first; at < last; at++) {
      float *own = partial.data() + at * width;
      const int64_t end = std::min(rows, (at + 1) * block);
      for (int64_t row = at * block; row < end; row++) add(row, own);
    }
  });
  std::fill_n(sum, width, 0.0f);
  for (int64_t at = 0; at < blocks; at++)
    for (int64_t i = 0; i < width; i++) sum[i] += partial[at * width + i];
}

// Numbers that `SumOverNumbers` adds up together.
constexpr int64_t kSumBlock = 1 << 14;

// Σ of body(begin, end) over blocks of [0, count)
template <typename Body>
double SumOverNumbers(int64_t count, const Body &body, int64_t size = kSumBlock) {
  const int64_t blocks = (count + size - 1) / size;
  std::vector<double> sums(blocks);
  Parallel(blocks, 2, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; block++) sums[block] = body(block * size, std::min(count, (block + 1) * size));
  });
  double total = 0;
  for (double sum : sums) total += sum;
  return total;
}

inline double BlockSquares(const float *x, int64_t count) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; i++) sum += x[i] * x[i];
  return sum;
}

// Σ x²
inline double SumOfSquares(const float *x, int64_t count) {
  return SumOverNumbers(count, [&](int64_t begin, int64_t end) { return BlockSquares(x + begin, end - begin); });
}

}  // namespace elf
