// Tokens in panels of kColumns, channel by channel: how a fused trunk holds its activations.
#pragma once

#include <algorithm>
#include <cstdint>

#include "aligned.h"
#include "tile.h"

namespace elf {

constexpr float kEpsilon = 1e-6f;
typedef AlignedBuffer Buffer;

// Sequences of control tokens and text. Tokens of text come first, sequence by sequence, then control tokens, which the last block
// need not compute.
struct Sizes {
  int64_t batch, positions, prefix, hidden, heads, headSize, inner;

  int64_t length() const { return positions - prefix; }
  int64_t tokens() const { return batch * positions; }
  int64_t panels() const { return Ceiling(tokens(), kColumns); }
  // Vectors of a panel that hold tokens: all but in the last one.
  int vectors(int64_t panel) const { return static_cast<int>(std::min<int64_t>(kVectors, Ceiling(tokens() - panel * kColumns, kLanes))); }
  Buffer Panels(int64_t channels) const { return Allocate(panels() * channels * kColumns); }

  // Which token a position of a sequence is.
  int64_t Token(int64_t sequence, int64_t position) const {
    return position < length() ? sequence * length() + position : batch * length() + sequence * prefix + position - length();
  }

  // Those of text alone.
  Sizes Text() const {
    Sizes text = *this;
    text.positions = length();
    text.prefix = 0;
    return text;
  }
};

// Calls body(panel, lane, position, count) for the runs of tokens of one sequence that lie in one panel, of positions [begin, end).
template <typename Body>
void EachRun(const Sizes &sizes, int64_t sequence, int64_t begin, int64_t end, const Body &body) {
  for (int64_t position = begin; position < end;) {
    const int64_t stop = position < sizes.length() ? std::min(end, sizes.length()) : end;
    const int64_t token = sizes.Token(sequence, position), lane = token % kColumns, count = std::min(kColumns - lane, stop - position);
    body(token / kColumns, lane, position, count);
    position += count;
  }
}

}  // namespace elf
