// Products of matrices, a tile that fills the vector registers at a time.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

namespace elf {

// Sums in kRows · kVectors of the vector registers, of which there are 32 or 16; one number of a row, one vector of a column and
// what is asked for ahead need the rest.
#if defined(__AMX_BF16__)
constexpr int kLanes = 16, kRows = 14, kVectors = 2;
#elif defined(__AVX512F__)
constexpr int kLanes = 16, kRows = 9, kVectors = 3;
#else
constexpr int kLanes = 8, kRows = 6, kVectors = 2;
#endif
constexpr int kColumns = kVectors * kLanes;

#ifndef __AMX_BF16__
// What a thread takes for as long as it multiplies: nothing, where there are no tile registers.
struct Registers {
  Registers() {}
};
#endif

// The products of one tile, [kRows, kColumns].
struct alignas(64) Tile {
  float value[kRows][kColumns];
};

typedef float Vector __attribute__((vector_size(kLanes * sizeof(float)), aligned(sizeof(float))));

inline int64_t Ceiling(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Terms that are asked for before they are needed: panels come from the second-level cache, and not every processor sees that
// they will be wanted.
constexpr int64_t kAhead = 16;

// Numbers in a cache line.
constexpr int64_t kLine = 16;

// Lines that the first-level cache can hold of those that are a multiple of a page apart.
inline int64_t Ways() {
  static const long ways = sysconf(_SC_LEVEL1_DCACHE_ASSOC);
  return ways > 0 ? ways : 8;
}

// Whether a tile's rows, so far apart, would displace each other and the columns that pass by from the first-level cache.
inline bool Collide(int64_t apart) { return apart * sizeof(float) % 4096 == 0 && kRows + kVectors > Ways(); }

// Cache lines that will be read soon, `apart` numbers from one to the next: they come from memory while a product is computed, spread
// over its terms, since all at once would wait for each other.
struct Ahead {
  const float *data;
  int64_t apart, lines;
};
constexpr Ahead kNothing = {nullptr, 0, 0};

// Part `at` of `of` of what lies in [begin, end).
inline Ahead Part(const float *begin, const float *end, int64_t at, int64_t of) {
  const int64_t count = std::max<int64_t>(0, end - begin);
  return {begin + count * at / of, kLine, Ceiling(count, of * kLine)};
}

// Asks for the cache lines of a tile's rows: they come while its sums are made, which are then written without waiting.
inline __attribute__((always_inline)) void AskToWrite(const float *to, int64_t apart, int64_t rows) {
#pragma GCC unroll 16
  for (int64_t row = 0; row < rows; row++)
#pragma GCC unroll 3
    for (int i = 0; i < kVectors; i++) __builtin_prefetch(to + row * apart + i * kLanes, 1);
}

// The sums of a tile in registers, the first `vectors` · kLanes columns. Always inlined, so that distances known to the caller are
// constants.
template <int vectors>
struct Sums {
  Vector total[kRows][vectors] = {};

  // total[row, column] ← Σ over terms of left[row·leftRow + term·leftTerm] · right[term·rightTerm + column], in the order of the terms.
  inline __attribute__((always_inline)) void Add(const float *__restrict left, int64_t leftRow, int64_t leftTerm,
                                                 const float *__restrict right, int64_t rightTerm, int64_t terms, Ahead ahead) {
    // The line that is asked for, in parts of 2⁻¹⁶.
    const int64_t step = (ahead.lines << 16) / terms;
    const float *const next = ahead.lines == 0 ? left : ahead.data;
    int64_t line = 0;
    for (const float *end = right + terms * rightTerm; right != end; left += leftTerm, right += rightTerm, line += step) {
      Vector column[vectors];
#pragma GCC unroll 3
      for (int i = 0; i < vectors; i++) __builtin_prefetch(right + kAhead * rightTerm + i * kLanes);
      __builtin_prefetch(next + (line >> 16) * ahead.apart, 0, 2);
#pragma GCC unroll 3
      for (int i = 0; i < vectors; i++) column[i] = *reinterpret_cast<const Vector *>(right + i * kLanes);
#pragma GCC unroll 16
      for (int row = 0; row < kRows; row++)
#pragma GCC unroll 3
        for (int i = 0; i < vectors; i++) total[row][i] += left[row * leftRow] * column[i];
    }
  }

  inline __attribute__((always_inline)) void Store(float *to, int64_t apart) const {
#pragma GCC unroll 16
    for (int row = 0; row < kRows; row++)
#pragma GCC unroll 3
      for (int i = 0; i < vectors; i++) *reinterpret_cast<Vector *>(to + row * apart + i * kLanes) = total[row][i];
  }

  inline __attribute__((always_inline)) void AddTo(float *to, int64_t apart) const {
#pragma GCC unroll 16
    for (int row = 0; row < kRows; row++)
#pragma GCC unroll 3
      for (int i = 0; i < vectors; i++) *reinterpret_cast<Vector *>(to + row * apart + i * kLanes) += total[row][i];
  }
};

// tile ← the sums, as above. A function of its own: what the caller keeps in vector registers would take their places.
template <int vectors = kVectors>
__attribute__((noinline)) void Multiply(const float *__restrict left, int64_t leftRow, int64_t leftTerm,
                                        const float *__restrict right, int64_t rightTerm, int64_t terms, Tile &tile, Ahead ahead = kNothing) {
  Sums<vectors> sums;
  sums.Add(left, leftRow, leftTerm, right, rightTerm, terms, ahead);
  sums.Store(tile.value[0], kColumns);
}

// Calls body(constant) with a number of vectors, at most kVectors, that only the program's run knows.
template <typename Body>
inline void WithVectors(int64_t vectors, const Body &body) {
  if (vectors <= 1) body(std::integral_constant<int, 1>());
  else if (vectors == 2) body(std::integral_constant<int, 2>());
  else body(std::integral_constant<int, kVectors>());
}

}  // namespace elf
