// Matrices in blocks that are split for the tile registers, see blocks.h.
#pragma once

#include <algorithm>
#include <cstdint>

#include "aligned.h"
#include "block.h"
#include "lines.h"
#include "split_tile.h"

namespace elf {

constexpr int64_t kPanels = 4;

static_assert(kSide == kStep && kSide == kSplitRows, "a block is a step of a product's terms");

// Each block is stored for all that the matrix is read as.
class Blocks {
 public:
  Blocks(int64_t rows, int64_t columns, int roles)
      : rows_(Ceiling(rows, kSide)), columns_(Ceiling(columns, kSide)), left_(New(roles & kLeft)), right_(New(roles & kRight)),
        numbers_(Allocate(roles & kNumbers ? rows_ * columns_ * kBlockSize : 0)), roles_(roles) {}

  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  int64_t terms() const { return rows_ * kSide; }

  float *Numbers(int64_t row, int64_t column) const { return numbers_.get() + (column * rows_ + row) * kBlockSize; }

  void Put(int64_t row, int64_t column, const Block &block) const {
    if (roles_ & kNumbers) std::copy_n(block.value[0], kBlockSize, Numbers(row, column));
    Take({block.value[0], kSide, kSide, kSide, false}, 0, 0, row, column);
  }
  // Only a symmetric matrix has numbers, and they are read where Put has written them: on and above the diagonal.
  void PutTurned(int64_t row, int64_t column, const Block &block) const {
    Take({block.value[0], kSide, kSide, kSide, true}, 0, 0, row, column);
  }

  // Panels [begin, end) ← lines from `first` · kSide on; their numbers are not stored.
  void Pack(const Lines &lines, int64_t first, int64_t begin, int64_t end) const {
    for (int64_t row = 0; row < rows_; row++)
      for (int64_t panel = begin; panel < end; panel++) Take(lines, (first + panel - begin) * kSide, row * kSide, row, panel);
  }

  // The block of leftᵀ · this.
  void Product(const Blocks &left, int64_t row, int64_t column, Block &block) const {
    MultiplySquares<kSquares, kSquares>(left.Squares(left.left_, 0, row), Squares(right_, 0, column), rows_, block.value[0], kSide, kNothing);
  }

 private:
  SplitBuffer New(int any) const { return AllocateSplit(any ? rows_ * columns_ * kSquares : 0); }

  Split *Squares(const SplitBuffer &buffer, int64_t row, int64_t column) const { return buffer.get() + (column * rows_ + row) * kSquares; }

  void Take(const Lines &lines, int64_t line, int64_t term, int64_t row, int64_t column) const {
    for (int square = 0; square < kSquares; square++) {
      if (roles_ & kLeft) SplitStep<true>(lines, line + square * kSquare, term, Squares(left_, row, column)[square]);
      if (roles_ & kRight) SplitStep<false>(lines, line + square * kSquare, term, Squares(right_, row, column)[square]);
    }
  }

  int64_t rows_, columns_;
  SplitBuffer left_, right_;
  AlignedBuffer numbers_;
  int roles_;
};

}  // namespace elf
