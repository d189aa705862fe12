// Products of matrices, a tile that fills the vector registers at a time.
#pragma once

#include <cstdint>

namespace elf {

#ifdef __AVX512F__
constexpr int kLanes = 16, kRows = 12;
#else
constexpr int kLanes = 8, kRows = 6;
#endif
constexpr int kColumns = 2 * kLanes;

// The products of one tile, [kRows, kColumns].
struct alignas(64) Tile {
  float value[kRows][kColumns];
};

typedef float Vector __attribute__((vector_size(kLanes * sizeof(float)), aligned(sizeof(float))));

inline int64_t Ceiling(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Terms that are asked for before they are needed: panels come from the second-level cache, and not every processor sees that
// they will be wanted.
constexpr int64_t kAhead = 16;

// tile[row, column] ← Σ over terms of left[row·leftRow + term·leftTerm] · right[term·rightTerm + column], in the order of the
// terms, for the first `vectors` · kLanes columns. Inlined, so that distances known to the caller are constants.
template <int vectors = 2>
inline __attribute__((always_inline)) void Multiply(const float *__restrict left, int64_t leftRow, int64_t leftTerm,
                                                    const float *__restrict right, int64_t rightTerm, int64_t terms, Tile &tile) {
  Vector total[kRows][vectors] = {};
  for (const float *end = right + terms * rightTerm; right != end; left += leftTerm, right += rightTerm) {
    Vector column[vectors];
    for (int i = 0; i < vectors; i++) __builtin_prefetch(right + kAhead * rightTerm + i * kLanes);
#pragma GCC unroll 2
    for (int i = 0; i < vectors; i++) column[i] = *reinterpret_cast<const Vector *>(right + i * kLanes);
#pragma GCC unroll 16
    for (int row = 0; row < kRows; row++)
#pragma GCC unroll 2
      for (int i = 0; i < vectors; i++) total[row][i] += left[row * leftRow] * column[i];
  }
#pragma GCC unroll 16
  for (int row = 0; row < kRows; row++)
#pragma GCC unroll 2
    for (int i = 0; i < vectors; i++) *reinterpret_cast<Vector *>(tile.value[row] + i * kLanes) = total[row][i];
}

}  // namespace elf
