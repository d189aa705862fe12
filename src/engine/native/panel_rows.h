// Rows of numbers that become a panel's lanes, and back.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "tile.h"
#include "turn.h"

namespace elf {

// Where the row of each lane begins.
typedef std::array<const float *, kColumns> ReadRows;
typedef std::array<float *, kColumns> WrittenRows;

// to [channels, kColumns] ← the rows' first `channels` numbers
inline void RowsToPanel(const ReadRows &rows, int64_t channels, float *to) {
  const int64_t whole = channels / kLanes * kLanes;
  for (int64_t channel = 0; channel < whole; channel += kLanes)
    for (int lane = 0; lane < kColumns; lane += kLanes)
      TurnSquare([&](int row) { return rows[lane + row] + channel; }, [&](int column) { return to + (channel + column) * kColumns + lane; });
  for (int64_t channel = whole; channel < channels; channel++)
    for (int lane = 0; lane < kColumns; lane++) to[channel * kColumns + lane] = rows[lane][channel];
}

// The rows' first `channels` numbers ← panel [channels, kColumns]
inline void PanelToRows(const float *panel, int64_t channels, const WrittenRows &rows) {
  const int64_t whole = channels / kLanes * kLanes;
  for (int64_t channel = 0; channel < whole; channel += kLanes)
    for (int lane = 0; lane < kColumns; lane += kLanes)
      TurnSquare([&](int row) { return panel + (channel + row) * kColumns + lane; }, [&](int column) { return rows[lane + column] + channel; });
  for (int64_t channel = whole; channel < channels; channel++)
    for (int lane = 0; lane < kColumns; lane++) rows[lane][channel] = panel[channel * kColumns + lane];
}

}  // namespace elf
