// Tokens in panels of kColumns, channel by channel: how a fused trunk holds its activations.
#pragma once

#include <algorithm>
#include <cstdint>

#include "aligned.h"
#include "tile.h"

namespace elf {

constexpr float kEpsilon = 1e-6f;
typedef AlignedBuffer Buffer;

struct Sizes {
  int64_t batch, positions, hidden, heads, headSize, inner;

  int64_t tokens() const { return batch * positions; }
  int64_t panels() const { return Ceiling(tokens(), kColumns); }
  // Vectors of a panel that hold tokens: all but in the last one.
  int vectors(int64_t panel) const { return static_cast<int>(std::min<int64_t>(kVectors, Ceiling(tokens() - panel * kColumns, kLanes))); }
  Buffer Panels(int64_t channels) const { return Allocate(panels() * channels * kColumns); }
};

// Calls body(panel, lane, position, count) for the runs of tokens of one sequence that lie in one panel.
template <typename Body>
void EachRun(const Sizes &sizes, int64_t sequence, const Body &body) {
  for (int64_t position = 0; position < sizes.positions;) {
    const int64_t token = sequence * sizes.positions + position, lane = token % kColumns;
    const int64_t count = std::min(kColumns - lane, sizes.positions - position);
    body(token / kColumns, lane, position, count);
    position += count;
  }
}

}  // namespace elf
