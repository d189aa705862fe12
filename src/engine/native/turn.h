// Squares of kLanes × kLanes numbers turned round, in registers.
#pragma once

#include <cstdint>
#include <utility>

#include "tile.h"

namespace elf {

#if defined(__has_builtin) && __has_builtin(__builtin_shufflevector)
template <size_t step, size_t... lane>
inline void Exchange(Vector &first, Vector &second, std::index_sequence<lane...>) {
  const Vector low = __builtin_shufflevector(first, second, (lane & step ? kLanes + lane - step : lane)...);
  second = __builtin_shufflevector(first, second, (lane & step ? kLanes + lane : lane + step)...);
  first = low;
}

template <size_t step>
inline __attribute__((always_inline)) void ExchangeAll(Vector (&rows)[kLanes]) {
#pragma GCC unroll 16
  for (int row = 0; row < kLanes; row++)
    if (!(row & step)) Exchange<step>(rows[row], rows[row + step], std::make_index_sequence<kLanes>());
}

// to(column)[row] ← from(row)[column]
template <typename From, typename To>
inline __attribute__((always_inline)) void TurnSquare(const From &from, const To &to) {
  Vector rows[kLanes];
#pragma GCC unroll 16
  for (int row = 0; row < kLanes; row++) rows[row] = *reinterpret_cast<const Vector *>(from(row));
  ExchangeAll<1>(rows);
  ExchangeAll<2>(rows);
  ExchangeAll<4>(rows);
  if constexpr (kLanes == 16) ExchangeAll<8>(rows);
#pragma GCC unroll 16
  for (int column = 0; column < kLanes; column++) *reinterpret_cast<Vector *>(to(column)) = rows[column];
}
#else
template <typename From, typename To>
inline void TurnSquare(const From &from, const To &to) {
  for (int row = 0; row < kLanes; row++)
    for (int column = 0; column < kLanes; column++) to(column)[row] = from(row)[column];
}
#endif

// to [columns, toApart] ← from [rows, fromApart] turned round
inline void TurnRound(const float *from, int64_t rows, int64_t columns, int64_t fromApart, float *to, int64_t toApart) {
  const int64_t wholeRows = rows / kLanes * kLanes, wholeColumns = columns / kLanes * kLanes;
  for (int64_t row = 0; row < wholeRows; row += kLanes)
    for (int64_t column = 0; column < wholeColumns; column += kLanes)
      TurnSquare([&](int i) { return from + (row + i) * fromApart + column; }, [&](int i) { return to + (column + i) * toApart + row; });
  for (int64_t row = 0; row < rows; row++)
    for (int64_t column = row < wholeRows ? wholeColumns : 0; column < columns; column++) to[column * toApart + row] = from[row * fromApart + column];
}

}  // namespace elf
