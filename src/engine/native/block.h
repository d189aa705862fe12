// A square part of a matrix: what Newton–Schulz computes at once.
#pragma once

#include "tile.h"
#include "turn.h"

namespace elf {

// Rows and columns of a block.
#ifdef __AMX_BF16__
constexpr int kSide = 32;
#else
constexpr int kSide = 16;
#endif
constexpr int64_t kBlockSize = kSide * kSide;

struct alignas(64) Block {
  float value[kSide][kSide];
};

// to [kSide, kSide] ← the block turned round
inline void Turn(const Block &block, float *to) {
  for (int top = 0; top < kSide; top += kLanes)
    for (int left = 0; left < kSide; left += kLanes)
      TurnSquare([&](int row) { return block.value[top + row] + left; }, [&](int column) { return to + (left + column) * kSide + top; });
}

// What a matrix of blocks is read as: a left factor, a right factor, or numbers. It may be several.
constexpr int kLeft = 1, kRight = 2, kNumbers = 4;

}  // namespace elf
