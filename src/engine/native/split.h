// A number in single precision as three in bfloat16 whose sum it is, bit for bit: what a processor's tiles multiply.
//
// Notable: x = x₁ + x₂ + x₃, each part 2⁻⁸ of the one before or less, so the six products x₃y₁, x₂y₁, x₂y₂, x₁y₂, x₁y₃ and x₁y₁ add
// up to x·y within 2⁻²⁴: the others are less than what single precision rounds away.
#pragma once

#include <algorithm>
#include <cstdint>

#include "lines.h"
#include "tile.h"
#include "turn.h"

namespace elf {

// Parts of a number.
constexpr int kParts = 3;
// Rows and lanes of a tile register; a lane holds two terms, kSquare terms from each other.
constexpr int kSquare = 16;
constexpr int64_t kStep = 2 * kSquare;

// What a tile register takes of kStep terms, part by part: of a left factor's rows a row each, with the terms in its lanes, of a
// right factor's columns a lane each, with the terms in the rows.
struct alignas(64) Split {
  uint32_t part[kParts][kSquare][kSquare];
};

typedef uint32_t Bits __attribute__((vector_size(kSquare * sizeof(uint32_t)), aligned(sizeof(uint32_t))));

// Steps of kStep terms; the last one is filled up with zeros.
inline int64_t Steps(int64_t terms) { return Ceiling(terms, kStep); }

// The nearest number of which the lower 16 bits are 0. What is no number stays none, and what is infinite leaves none behind.
inline __attribute__((always_inline)) Bits Rounded(Vector x) { return (reinterpret_cast<Bits>(x) + 0x8000u) & 0xffff0000u; }

// A row of all parts.
inline __attribute__((always_inline)) void SplitRow(Vector low, Vector high, Split &to, int row) {
#pragma GCC unroll 3
  for (int part = 0; part < kParts; part++) {
    // Nothing is left to round of the last part.
    const bool last = part + 1 == kParts;
    const Bits lowPart = last ? reinterpret_cast<Bits>(low) : Rounded(low), highPart = last ? reinterpret_cast<Bits>(high) & 0xffff0000u : Rounded(high);
    *reinterpret_cast<Bits *>(to.part[part][row]) = lowPart >> 16 | highPart;
    low -= reinterpret_cast<Vector>(lowPart);
    high -= reinterpret_cast<Vector>(highPart);
  }
}

// Whether kSquare rows and columns are there.
inline bool Whole(const Corner &square) { return square.rows >= kSquare && square.columns >= kSquare; }

// kSquare numbers of a row; zeros take the place of those that are not there.
inline Vector RowOf(const Corner &square, int row) {
  if (Whole(square)) return *reinterpret_cast<const Vector *>(square.data + row * square.apart);
  alignas(64) float numbers[kSquare] = {};
  if (row < square.rows) std::copy_n(square.data + row * square.apart, std::max<int64_t>(0, std::min<int64_t>(square.columns, kSquare)), numbers);
  return *reinterpret_cast<const Vector *>(numbers);
}

// Both halves of a step's terms.
template <bool turned>
void SplitSquares(const Corner &low, const Corner &high, Split &to) {
  if (!turned) {
    for (int row = 0; row < kSquare; row++) SplitRow(RowOf(low, row), RowOf(high, row), to, row);
    return;
  }
  alignas(64) float half[2][kSquare][kSquare], given[kSquare][kSquare];
  for (const Corner *square : {&low, &high}) {
    const bool whole = Whole(*square);
    for (int row = 0; row < kSquare && !whole; row++) *reinterpret_cast<Vector *>(given[row]) = RowOf(*square, row);
    const float *data = whole ? square->data : given[0];
    const int64_t apart = whole ? square->apart : kSquare;
    TurnSquare([&](int row) { return data + row * apart; }, [&](int column) { return half[square == &high][column]; });
  }
  for (int row = 0; row < kSquare; row++) SplitRow(*reinterpret_cast<const Vector *>(half[0][row]), *reinterpret_cast<const Vector *>(half[1][row]), to, row);
}

// to ← kSquare lines from `line` on, kStep terms from `term` on; those behind the last one are zeros.
template <bool left>
void SplitStep(const Lines &lines, int64_t line, int64_t term, Split &to) {
  const Corner low = lines.At(line, term), high = lines.At(line, term + kSquare);
  if (left == lines.termsTogether) SplitSquares<false>(low, high, to);
  else SplitSquares<true>(low, high, to);
}

// Asks for what SplitStep reads.
inline void AskForStep(const Lines &lines, int64_t line, int64_t term) {
  for (int64_t half = 0; half < kStep; half += kSquare) {
    const Corner square = lines.At(line, term + half);
    for (int64_t row = 0; row < std::min<int64_t>(square.rows, kSquare); row++) __builtin_prefetch(square.data + row * square.apart);
  }
}

// to [steps, squares] ← all terms of `squares` · kSquare lines from `line` on
template <bool left>
void SplitLines(const Lines &lines, int64_t line, int64_t squares, Split *to) {
  for (int64_t step = 0; step < Steps(lines.terms); step++)
    for (int64_t square = 0; square < squares; square++) SplitStep<left>(lines, line + square * kSquare, step * kStep, to[step * squares + square]);
}

}  // namespace elf
