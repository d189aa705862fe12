// Sums over rows, on several threads.
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

}  // namespace elf
