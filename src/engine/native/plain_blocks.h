// Matrices in blocks of numbers in single precision, see blocks.h.
#pragma once

#include <algorithm>
#include <cstdint>

#include "aligned.h"
#include "block.h"
#include "lines.h"

namespace elf {

constexpr int64_t kPanels = 8;

// A block's rows that fill the vector registers.
#ifdef __AVX512F__
constexpr int kBlockRows = 16;
#else
constexpr int kBlockRows = 4;
#endif
constexpr int kBlockVectors = kSide / kLanes;

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

// Whatever it is read as, it is stored as it is.
class Blocks {
 public:
  Blocks(int64_t rows, int64_t columns, int)
      : rows_(Ceiling(rows, kSide)), columns_(Ceiling(columns, kSide)), data_(Allocate(rows_ * columns_ * kBlockSize)) {}

  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  int64_t terms() const { return rows_ * kSide; }

  float *Numbers(int64_t row, int64_t column) const { return Panel(column) + row * kBlockSize; }
  void Put(int64_t row, int64_t column, const Block &block) const { std::copy_n(block.value[0], kBlockSize, Numbers(row, column)); }
  void PutTurned(int64_t row, int64_t column, const Block &block) const { Turn(block, Numbers(row, column)); }

  // Panels [begin, end) ← lines from `first` · kSide on. Where lines lie together it goes term by term: what lies side by side is read at once.
  void Pack(const Lines &lines, int64_t first, int64_t begin, int64_t end) const {
    if (lines.termsTogether)
      for (int64_t panel = begin; panel < end; panel++)
        for (int64_t term = 0; term < terms(); term++) PackTerm(lines, first + panel - begin, term, panel);
    else
      for (int64_t term = 0; term < terms(); term++)
        for (int64_t panel = begin; panel < end; panel++) PackTerm(lines, first + panel - begin, term, panel);
  }

  // The block of leftᵀ · this.
  void Product(const Blocks &left, int64_t row, int64_t column, Block &block) const { Multiply(left.Panel(row), Panel(column), terms(), block); }

 private:
  float *Panel(int64_t column) const { return data_.get() + column * rows_ * kBlockSize; }

  void PackTerm(const Lines &lines, int64_t from, int64_t term, int64_t panel) const {
    const Corner corner = lines.At(from * kSide, term);
    const int64_t apart = lines.termsTogether ? lines.apart : 1, count = term < lines.terms ? std::min<int64_t>(kSide, lines.lines - from * kSide) : 0;
    float *to = Panel(panel) + term * kSide;
    if (count == kSide && apart == 1) std::copy_n(corner.data, kSide, to);
    else
      for (int64_t lane = 0; lane < kSide; lane++) to[lane] = lane < count ? corner.data[lane * apart] : 0;
  }

  int64_t rows_, columns_;
  AlignedBuffer data_;
};

}  // namespace elf
