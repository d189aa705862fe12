// Products of two matrices in single precision.
//
// Notable: columns of the right factor are packed a panel at a time for the tiles. A panel stays in the second-level cache while all
// tiles of the left factor pass by, and what the next panel is made of is asked for meanwhile. A left factor that is turned round
// is packed as well, some tiles at a time; then it is what passes by.
#pragma once

#include <algorithm>
#include <cstdint>

#include "aligned.h"
#include "factors.h"
#include "pool.h"
#include "tile.h"
#include "turn.h"

namespace elf {
namespace plain {

// Terms of a sum that are added up at once, at most: as many as keep a panel in the second-level cache.
constexpr int64_t kTerms = 1024;
// Tiles of a left factor that are packed together where it is turned round: what lies side by side is read at once.
constexpr int64_t kTogether = 4;

// Numbers of a right factor that are packed at once, about, where the left one is turned round.
constexpr int64_t kPacked = 1 << 20;
// Multiply-adds and copies that are worth waking a thread for.
constexpr int64_t kWork = 1 << 20, kCopies = 1 << 16;

// Neighbouring terms of a sum.
struct Terms {
  int64_t first, count;
};

// Where the numbers of a tile's left factor lie.
struct TileRows {
  const float *data;
  int64_t row, term;
};

// Part `at` of `of` of `width` columns from `from` on, in `terms` rows: a column of cache lines after the other.
Ahead PartOfColumns(const float *from, int64_t apart, int64_t width, int64_t terms, int64_t at, int64_t of) {
  const int64_t columns = Ceiling(width, kLine), column = at * columns / of;
  const int64_t begin = Ceiling(column * of, columns), end = std::max(begin + 1, Ceiling((column + 1) * of, columns));
  return {from + column * kLine + terms * (at - begin) / (end - begin) * apart, apart, Ceiling(terms, end - begin)};
}

// The rows [rows, terms] of a left factor, where they are stored. Those of a tile that reaches below the last one are copied, and all
// where they would displace each other from the cache.
class LeftRows {
 public:
  LeftRows(Matrix matrix, int64_t rows, Terms terms)
      : matrix_(matrix), terms_(terms), whole_(Collide(matrix.apart) ? 0 : rows / kRows), tiles_(Ceiling(rows, kRows)),
        copies_(Allocate((tiles_ - whole_) * kRows * Apart())) {
    Parallel((tiles_ - whole_) * kRows, Ceiling(kCopies, terms.count), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        const int64_t row = whole_ * kRows + i;
        if (row < rows) std::copy_n(matrix.At(row, terms.first), terms.count, copies_.get() + i * Apart());
        else std::fill_n(copies_.get() + i * Apart(), terms.count, 0.0f);
      }
    });
  }

  int64_t tiles() const { return tiles_; }

  TileRows Tile(int64_t tile) const {
    if (tile < whole_) return {matrix_.At(tile * kRows, terms_.first), matrix_.apart, 1};
    return {copies_.get() + (tile - whole_) * kRows * Apart(), Apart(), 1};
  }

 private:
  int64_t Apart() const { return terms_.count + kLine; }

  Matrix matrix_;
  Terms terms_;
  int64_t whole_, tiles_;
  AlignedBuffer copies_;
};

// kTogether tiles of a left factor [terms, rows] that is turned round.
class TurnedTiles {
 public:
  explicit TurnedTiles(int64_t terms) : terms_(terms), packed_(Allocate(kTogether * kRows * terms + kLanes)) {}

  // Those of `rows` rows from `first` on, zeros below the last one.
  void Pack(const Matrix &matrix, Terms terms, int64_t first, int64_t tiles, int64_t rows) {
    for (int64_t term = 0; term < terms.count; term++)
      for (int64_t tile = 0; tile < tiles; tile++) {
        const float *from = matrix.At(terms.first + term, first + tile * kRows);
        __builtin_prefetch(from + kAhead * matrix.apart);
        PackTerm(from, rows - first - tile * kRows, term, packed_.get() + (tile * terms_ + term) * kRows);
      }
  }

  TileRows Tile(int64_t tile) const { return {packed_.get() + tile * terms_ * kRows, 1, kRows}; }

 private:
  // A whole vector where what it writes too much is written again by the next term.
  void PackTerm(const float *from, int64_t rows, int64_t term, float *to) const {
    if (rows >= kLanes && term + 1 < terms_) *reinterpret_cast<Vector *>(to) = *reinterpret_cast<const Vector *>(from);
    else
      for (int64_t row = 0; row < kRows; row++) to[row] = row < rows ? from[row] : 0;
  }

  int64_t terms_;
  AlignedBuffer packed_;
};

// Columns of a right factor [terms, columns], or [columns, terms] where it is turned round.
struct RightColumns {
  Matrix matrix;
  int64_t columns;
  bool turned;

  int64_t panels() const { return Ceiling(columns, kColumns); }
  int64_t width(int64_t panel) const { return std::min<int64_t>(kColumns, columns - panel * kColumns); }

  // to [terms, kColumns] ← a panel, zeros beyond the last column
  void Pack(int64_t panel, Terms terms, float *to) const {
    if (turned) return PackTurned(matrix.At(panel * kColumns, terms.first), width(panel), terms.count, to);
    for (int64_t term = 0; term < terms.count; term++, to += kColumns) {
      const float *from = matrix.At(terms.first + term, panel * kColumns);
      if (width(panel) == kColumns) std::copy_n(from, kColumns, to);
      else std::fill(std::copy_n(from, width(panel), to), to + kColumns, 0.0f);
    }
  }

  // Part `at` of `of` of what a panel is made of.
  Ahead Part(int64_t panel, Terms terms, int64_t at, int64_t of) const {
    if (panel >= panels()) return kNothing;
    if (!turned) return PartOfColumns(matrix.At(terms.first, panel * kColumns), matrix.apart, width(panel), terms.count, at, of);
    const int64_t begin = width(panel) * at / of, end = Ceiling(width(panel) * (at + 1), of);
    return {matrix.At(panel * kColumns + begin, terms.first), kLine, Ceiling((end - begin - 1) * matrix.apart + terms.count, kLine)};
  }

 private:
  void PackTurned(const float *from, int64_t width, int64_t terms, float *to) const {
    TurnRound(from, width, terms, matrix.apart, to, kColumns);
    for (int64_t term = 0; term < terms && width < kColumns; term++) std::fill(to + term * kColumns + width, to + (term + 1) * kColumns, 0.0f);
  }
};

// Where the product goes.
struct Sums {
  float *data;
  int64_t rows, columns;
  bool adds;

  // Adds what some of the terms give to a tile; the first of them are stored, unless all are added.
  void AddTile(const TileRows &left, const float *panel, Terms terms, int64_t tile, int64_t index, const Ahead &ahead) const {
    const int64_t height = std::min<int64_t>(kRows, rows - tile * kRows), width = std::min<int64_t>(kColumns, columns - index * kColumns);
    float *to = data + tile * kRows * columns + index * kColumns;
    if (height == kRows && width == kColumns) return AddWhole(left, panel, terms, ahead, to);
    Tile sums;
    WithVectors(Ceiling(width, kLanes), [&](auto vectors) { Multiply<vectors>(left.data, left.row, left.term, panel, kColumns, terms.count, sums, ahead); });
    for (int64_t row = 0; row < height; row++)
      for (int64_t column = 0; column < width; column++) to[row * columns + column] = sums.value[row][column] + (Adds(terms) ? to[row * columns + column] : 0);
  }

 private:
  bool Adds(Terms terms) const { return adds || terms.first > 0; }

  void AddWhole(const TileRows &left, const float *panel, Terms terms, const Ahead &ahead, float *to) const {
    AskToWrite(to, columns, kRows);
    elf::Sums<kVectors> sums;
    sums.Add(left.data, left.row, left.term, panel, kColumns, terms.count, ahead);
    if (Adds(terms)) sums.AddTo(to, columns);
    else sums.Store(to, columns);
  }
};

void AddRows(const LeftRows &left, const RightColumns &right, Terms terms, const Sums &result) {
  const auto add = [&](int64_t begin, int64_t end, int64_t first, int64_t last) {
    const AlignedBuffer panel = Allocate(terms.count * kColumns);
    for (int64_t index = begin; index < end; index++) {
      right.Pack(index, terms, panel.get());
      for (int64_t tile = first; tile < last; tile++)
        result.AddTile(left.Tile(tile), panel.get(), terms, tile, index, index + 1 < end ? right.Part(index + 1, terms, tile, left.tiles()) : kNothing);
    }
  };
  const int64_t panels = right.panels(), tiles = left.tiles(), work = kRows * terms.count * kColumns;
  if (panels == 1) Parallel(tiles, Ceiling(kWork, work), [&](int64_t begin, int64_t end) { add(0, 1, begin, end); });
  else Parallel(panels, Ceiling(kWork, tiles * work), [&](int64_t begin, int64_t end) { add(begin, end, 0, tiles); });
}

// Panels [begin, end) of the right factor with a left one that is turned round.
void AddTurnedPanels(const Matrix &left, const RightColumns &right, Terms terms, const Sums &result, int64_t begin, int64_t end) {
  const int64_t tiles = Ceiling(result.rows, kRows), size = terms.count * kColumns;
  const AlignedBuffer packed = Allocate((end - begin) * size);
  Parallel(end - begin, Ceiling(kCopies, size), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) right.Pack(begin + i, terms, packed.get() + i * size);
  });
  Parallel(tiles, Ceiling(kWork, kRows * size * (end - begin)), [&](int64_t first, int64_t last) {
    TurnedTiles rows(terms.count);
    for (int64_t tile = first; tile < last; tile += kTogether) {
      const int64_t together = std::min(kTogether, last - tile);
      rows.Pack(left, terms, tile * kRows, together, result.rows);
      for (int64_t i = 0; i < end - begin; i++)
        for (int64_t at = 0; at < together; at++) result.AddTile(rows.Tile(at), packed.get() + i * size, terms, tile + at, begin + i, kNothing);
    }
  });
}

void AddTurned(const Matrix &left, const RightColumns &right, Terms terms, const Sums &result) {
  const int64_t panels = right.panels(), together = std::max<int64_t>(1, kPacked / (terms.count * kColumns));
  for (int64_t begin = 0; begin < panels; begin += together) AddTurnedPanels(left, right, terms, result, begin, std::min(panels, begin + together));
}

// One product of two matrices.
template <bool turnLeft>
void Multiply(const Matrix &left, const RightColumns &right, int64_t terms, const Sums &result) {
  const int64_t each = Ceiling(Ceiling(terms, Ceiling(terms, kTerms)), kLanes) * kLanes;
  for (int64_t first = 0; first < terms; first += each) {
    const Terms part = {first, std::min(each, terms - first)};
    if (turnLeft) AddTurned(left, right, part, result);
    else AddRows(LeftRows(left, result.rows, part), right, part, result);
  }
}

// The product with a right factor that is turned round, of few rows: they become the columns, and nothing of the right factor is
// packed. Its sums are the same.
void MultiplyFew(const float *left, const float *right, int64_t terms, const Sums &result) {
  const AlignedBuffer turned = Allocate(result.rows * result.columns);
  Multiply<false>({right, terms}, {{left, terms}, result.rows, true}, terms, {turned.get(), result.columns, result.rows, false});
  TurnRound(turned.get(), result.columns, result.rows, result.rows, result.data, result.columns);
}

}  // namespace plain

inline void Multiply(const Factors &factors, const Result &result) {
  const plain::Sums sums = {result.data, factors.rows, factors.columns, result.adds};
  if (factors.turnLeft) plain::Multiply<true>(factors.Left(), {factors.Right(), factors.columns, factors.turnRight}, factors.terms, sums);
  else if (factors.turnRight && factors.rows <= kLanes && !result.adds) plain::MultiplyFew(factors.left, factors.right, factors.terms, sums);
  else plain::Multiply<false>(factors.Left(), {factors.Right(), factors.columns, factors.turnRight}, factors.terms, sums);
}

}  // namespace elf
