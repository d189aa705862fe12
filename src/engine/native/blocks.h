// Matrices in blocks of 16 × 16: what Newton–Schulz multiplies and makes, without packing anything between two products.
#pragma once

#include <cstdint>

#include "aligned.h"
#include "tile.h"
#include "turn.h"

namespace elf {

// Rows and columns of a block.
constexpr int kSide = 16;
constexpr int64_t kBlockSize = kSide * kSide;

// A block's rows that fill the vector registers.
#ifdef __AVX512F__
constexpr int kBlockRows = 16;
#else
constexpr int kBlockRows = 4;
#endif
constexpr int kBlockVectors = kSide / kLanes;

struct alignas(64) Block {
  float value[kSide][kSide];
};

// block[row, column] ← Σ over terms of left[term, row] · right[term, column]; both are [terms, kSide], in the order of the terms.
inline void Multiply(const float *__restrict left, const float *__restrict right, int64_t terms, Block &block) {
  for (int first = 0; first < kSide; first += kBlockRows) {
    Vector total[kBlockRows][kBlockVectors] = {};
    for (int64_t term = 0; term < terms; term++) {
      const float *factor = left + term * kSide + first;
      if (first == 0) {
        __builtin_prefetch(left + (term + kAhead) * kSide);
        __builtin_prefetch(right + (term + kAhead) * kSide);
      }
      Vector column[kBlockVectors];
#pragma GCC unroll 2
      for (int i = 0; i < kBlockVectors; i++) column[i] = *reinterpret_cast<const Vector *>(right + term * kSide + i * kLanes);
#pragma GCC unroll 16
      for (int row = 0; row < kBlockRows; row++)
#pragma GCC unroll 2
        for (int i = 0; i < kBlockVectors; i++) total[row][i] += factor[row] * column[i];
    }
#pragma GCC unroll 16
    for (int row = 0; row < kBlockRows; row++)
#pragma GCC unroll 2
      for (int i = 0; i < kBlockVectors; i++) *reinterpret_cast<Vector *>(block.value[first + row] + i * kLanes) = total[row][i];
  }
}

// to [kSide, kSide] ← the block turned round
inline void Turn(const Block &block, float *to) {
  for (int top = 0; top < kSide; top += kLanes)
    for (int left = 0; left < kSide; left += kLanes)
      TurnSquare([&](int row) { return block.value[top + row] + left; }, [&](int column) { return to + (left + column) * kSide + top; });
}

// A matrix of blocks, zeros beyond its last row and column. A column of blocks is a panel [terms, kSide]: a factor of Multiply.
class Blocks {
 public:
  Blocks(int64_t rows, int64_t columns)
      : rows_(Ceiling(rows, kSide)), columns_(Ceiling(columns, kSide)), data_(Allocate(rows_ * columns_ * kBlockSize)) {}

  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  int64_t terms() const { return rows_ * kSide; }
  int64_t size() const { return rows_ * columns_ * kBlockSize; }

  float *Panel(int64_t column) const { return data_.get() + column * rows_ * kBlockSize; }
  float *At(int64_t row, int64_t column) const { return Panel(column) + row * kBlockSize; }

  // The block of leftᵀ · this.
  void Product(const Blocks &left, int64_t row, int64_t column, Block &block) const { Multiply(left.Panel(row), Panel(column), terms(), block); }

 private:
  int64_t rows_, columns_;
  AlignedBuffer data_;
};

}  // namespace elf
