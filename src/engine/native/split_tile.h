// Products of split numbers in the processor's tile registers (AMX).
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <memory>
#include <new>

#include "aligned.h"
#include "split.h"
#include "tile.h"

namespace elf {

// Rows and columns of what is multiplied at once, in squares and in numbers.
constexpr int kSquares = 2, kSplitRows = kSquares * kSquare;
static_assert(kColumns == kSplitRows, "a panel is as wide as a product of tiles");

// The products of one split tile, [kSplitRows, kColumns].
struct alignas(64) SplitTile {
  float value[kSplitRows][kColumns];
};

// A thread's tile registers, for as long as this lives. One at a time.
class Registers {
 public:
  Registers() {
    struct {
      uint8_t palette = 1, start = 0, reserved[14] = {};
      uint16_t bytes[16] = {};
      uint8_t rows[16] = {};
    } shape;
    for (int i = 0; i < 8; i++) {
      shape.bytes[i] = kSquare * sizeof(float);
      shape.rows[i] = kSquare;
    }
    _tile_loadconfig(&shape);
  }
  ~Registers() { _tile_release(); }
  Registers(const Registers &) = delete;
};

typedef std::unique_ptr<Split[], Aligned> SplitBuffer;

inline SplitBuffer AllocateSplit(int64_t count) {
  return SplitBuffer(static_cast<Split *>(::operator new[](count * sizeof(Split), std::align_val_t(64))));
}

// Half a part comes into the first-level cache.
inline __attribute__((always_inline)) void AskFor(const uint32_t (&part)[kSquare][kSquare], int half) {
#pragma GCC unroll 8
  for (int row = 0; row < kSquare / 2; row++) __builtin_prefetch(part[half * kSquare / 2 + row]);
}

// tile ← left · right, of `rows` and `columns` squares: both factors are [steps, kSquares], and of the tile the first squares are
// written. What one square gives does not depend on how many there are.
template <int rows, int columns>
__attribute__((noinline)) void MultiplySquares(const Split *left, const Split *right, int64_t steps, float *to, int64_t apart, Ahead ahead) {
  const int64_t step = (ahead.lines << 16) / steps;
  int64_t line = 0, asked = 0;
  _tile_zero(0);
  if (columns > 1) _tile_zero(1);
  if (rows > 1) _tile_zero(2);
  if (rows > 1 && columns > 1) _tile_zero(3);
  // Where two threads share a core, tile instructions that follow each other at once take half as long again: what a core holds
  // ready is full of them. Eight others in between cost nothing.
#define ELF_SPACE asm volatile(".rept 8\n nop\n .endr");
  // Tiles 4 and 5 hold the left factor's parts, 6 and 7 the right one's. Macros, since a tile register is named by its number as it is written.
#define ELF_LOAD(tile, factor, index) { _tile_loadd(tile, (factor).part[index], sizeof (factor).part[index][0]); ELF_SPACE }
#define ELF_LEFT(index)                                   \
  ELF_LOAD(4, left[0], index)                             \
  if (rows > 1) ELF_LOAD(5, left[1], index)
#define ELF_RIGHT(index)                                  \
  ELF_LOAD(6, right[0], index)                            \
  if (columns > 1) ELF_LOAD(7, right[1], index)
  // Half a part of the next step comes into the first-level cache with each product.
#define ELF_ASK(factor, index, half) AskFor((factor)[kSquares + (index) % kSquares].part[(index) / kSquares], half);
#define ELF_ADD(factor, index)                                                                                 \
  _tile_dpbf16ps(0, 4, 6); ELF_ASK(factor, index, 0)                                                           \
  if (columns > 1) _tile_dpbf16ps(1, 4, 7); ELF_ASK(factor, index, 1)                                          \
  if (rows > 1) _tile_dpbf16ps(2, 5, 6); ELF_ASK(factor, index + 1, 0)                                         \
  if (rows > 1 && columns > 1) _tile_dpbf16ps(3, 5, 7); ELF_ASK(factor, index + 1, 1)
  // The smallest products first, and no more than one factor is exchanged between two.
  for (const Split *end = left + steps * kSquares; left != end; left += kSquares, right += kSquares) {
    for (line += step; asked < line >> 16; asked++) __builtin_prefetch(ahead.data + asked * ahead.apart, 0, 2);
    ELF_LEFT(2) ELF_RIGHT(0) ELF_ADD(left, 4)
    ELF_LEFT(1) ELF_ADD(right, 0)
    ELF_RIGHT(1) ELF_ADD(left, 2)
    ELF_LEFT(0) ELF_ADD(right, 2)
    ELF_RIGHT(2) ELF_ADD(left, 0)
    ELF_RIGHT(0) ELF_ADD(right, 4)
  }
#undef ELF_SPACE
#undef ELF_LOAD
#undef ELF_LEFT
#undef ELF_RIGHT
#undef ELF_ASK
#undef ELF_ADD
  _tile_stored(0, to, apart * sizeof(float));
  if (columns > 1) _tile_stored(1, to + kSquare, apart * sizeof(float));
  if (rows > 1) _tile_stored(2, to + kSquare * apart, apart * sizeof(float));
  if (rows > 1 && columns > 1) _tile_stored(3, to + kSquare * apart + kSquare, apart * sizeof(float));
}

// The same for numbers of squares that only the program's run knows.
inline void MultiplySquares(int64_t rows, int64_t columns, const Split *left, const Split *right, int64_t steps, float *to, int64_t apart, Ahead ahead = kNothing) {
  if (rows > 1 && columns > 1) MultiplySquares<2, 2>(left, right, steps, to, apart, ahead);
  else if (rows > 1) MultiplySquares<2, 1>(left, right, steps, to, apart, ahead);
  else if (columns > 1) MultiplySquares<1, 2>(left, right, steps, to, apart, ahead);
  else MultiplySquares<1, 1>(left, right, steps, to, apart, ahead);
}

}  // namespace elf
