// Products of two matrices on the processor's tile registers.
//
// Notable: the left factor is split once, by all threads. Of the right one each thread splits some panels of its own, which stay in the
// second-level cache while the left factor passes by.
#pragma once

#include <algorithm>
#include <cstdint>

#include "factors.h"
#include "pool.h"
#include "split_tile.h"

namespace elf {
namespace split {

// Terms of a sum that are added up at once, at most.
constexpr int64_t kTerms = 1024;
// Squares of a right factor that stay in the second-level cache: a megabyte.
constexpr int64_t kKept = (1 << 20) / sizeof(Split);
// Squares between one that is asked for from memory and the one that is split.
constexpr int64_t kEarly = 4;
// Multiply-adds and splits that are worth waking a thread for.
constexpr int64_t kWork = 1 << 20, kSplits = 1 << 15;

// Split groups of kSquares squares of lines: a factor of MultiplySquares each.
class Groups {
 public:
  Groups(int64_t count, int64_t terms) : size_(Steps(terms) * kSquares), data_(AllocateSplit(count * size_)) {}

  Split *At(int64_t group) const { return data_.get() + group * size_; }
  int64_t steps() const { return size_ / kSquares; }

  // Groups from `to` on ← groups [first, last) of lines. A step of all of them at a time: what lies side by side is read at once.
  template <bool left>
  void Take(const Lines &lines, int64_t first, int64_t last, int64_t to) const {
    const int64_t squares = (last - first) * kSquares;
    for (int64_t i = 0; i < steps() * squares; i++) {
      const int64_t later = i + kEarly, step = i / squares, square = i % squares;
      AskForStep(lines, first * kSplitRows + later % squares * kSquare, later / squares * kStep);
      SplitStep<left>(lines, first * kSplitRows + square * kSquare, step * kStep, At(to + square / kSquares)[step * kSquares + square % kSquares]);
    }
  }

 private:
  int64_t size_;
  SplitBuffer data_;
};

// Some of the terms of two factors, line by line.
struct SomeTerms {
  Lines left, right;

  int64_t groups() const { return Ceiling(left.lines, kSplitRows); }
  int64_t panels() const { return Ceiling(right.lines, kColumns); }
  int64_t terms() const { return left.terms; }
};

SomeTerms TermsOf(const Factors &f, int64_t first, int64_t terms) {
  const Lines left = {f.left, f.Left().apart, f.rows, f.terms, !f.turnLeft}, right = {f.right, f.Right().apart, f.columns, f.terms, f.turnRight};
  return {left.Terms(first, terms), right.Terms(first, terms)};
}

// Where the product goes, [rows, columns].
struct Sums {
  float *data;
  int64_t rows, columns;
  bool adds;

  // The tile of a group of rows and a panel of columns ← left · right
  void Take(const Split *left, const Split *right, int64_t steps, int64_t group, int64_t panel, const Ahead &ahead) const {
    const int64_t height = std::min<int64_t>(kSplitRows, rows - group * kSplitRows), width = std::min<int64_t>(kColumns, columns - panel * kColumns);
    float *to = data + group * kSplitRows * columns + panel * kColumns;
    AskToWrite(to, columns, height);
    if (!adds && height == kSplitRows && width == kColumns) return MultiplySquares<kSquares, kSquares>(left, right, steps, to, columns, ahead);
    SplitTile tile;
    MultiplySquares(Ceiling(height, kSquare), Ceiling(width, kSquare), left, right, steps, tile.value[0], kColumns, ahead);
    for (int64_t row = 0; row < height; row++)
      for (int64_t column = 0; column < width; column++) to[row * columns + column] = tile.value[row][column] + (adds ? to[row * columns + column] : 0);
  }
};

// Groups [begin, end) of rows with panels of columns that are split already, the first of which is `panel`.
void MultiplyGroups(const Groups &left, int64_t begin, int64_t end, const Groups &right, int64_t panel, int64_t panels, const Sums &sums) {
  for (int64_t group = begin; group < end; group++) {
    const float *next = reinterpret_cast<const float *>(left.At(group + 1)), *last = reinterpret_cast<const float *>(left.At(std::min(end, group + 2)));
    for (int64_t i = 0; i < panels; i++) sums.Take(left.At(group), right.At(i), left.steps(), group, panel + i, Part(next, last, i, panels));
  }
}

void AddTerms(const SomeTerms &part, const Sums &sums) {
  const int64_t groups = part.groups(), panels = part.panels(), work = kSplitRows * kColumns * part.terms();
  const Groups left(groups, part.terms());
  Parallel(groups, Ceiling(kSplits, kSplitRows * part.terms()), [&](int64_t begin, int64_t end) { left.Take<true>(part.left, begin, end, begin); });
  if (panels < Threads()) {
    const Groups right(panels, part.terms());
    right.Take<false>(part.right, 0, panels, 0);
    return Parallel(groups, Ceiling(kWork, panels * work), [&](int64_t begin, int64_t end) {
      const Registers registers;
      MultiplyGroups(left, begin, end, right, 0, panels, sums);
    });
  }
  const int64_t together = std::max<int64_t>(1, kKept / (left.steps() * kSquares));
  Parallel(panels, Ceiling(kWork, groups * work), [&](int64_t begin, int64_t end) {
    const Registers registers;
    const Groups right(std::min(together, end - begin), part.terms());
    for (int64_t first = begin; first < end; first += together) {
      const int64_t last = std::min(end, first + together);
      right.Take<false>(part.right, first, last, 0);
      MultiplyGroups(left, 0, groups, right, first, last - first, sums);
    }
  });
}

}  // namespace split

inline void Multiply(const Factors &factors, const Result &result) {
  const int64_t parts = Ceiling(factors.terms, split::kTerms), each = Steps(Ceiling(factors.terms, parts)) * kStep;
  for (int64_t first = 0; first < factors.terms; first += each)
    split::AddTerms(split::TermsOf(factors, first, std::min(each, factors.terms - first)), {result.data, factors.rows, factors.columns, result.adds || first > 0});
}

}  // namespace elf
