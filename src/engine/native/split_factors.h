// What a linear layer multiplies on tile registers: panels of tokens and rows of weights, both split. See linear.h.
#pragma once

#include "panels.h"
#include "pool.h"
#include "split_tile.h"

namespace elf {

constexpr int kOutputs = kSplitRows;
typedef SplitTile OutputTile;
// Fewer tokens do not make up for what splitting a weight takes, and split ones take more of the cache: half a megabyte of weights.
constexpr int64_t kShare = 256, kLeastShare = 256, kCached = (1 << 19) / (kParts * sizeof(uint16_t));

// Panels of tokens [panel, inputs, kColumns], split once for all rows of a weight.
class TokenPanels {
 public:
  TokenPanels(const float *input, int64_t inputs, const Sizes &sizes)
      : sizes_(sizes), size_(Steps(inputs) * kSquares), split_(AllocateSplit(sizes.panels() * size_)) {
    Parallel(sizes.panels(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; panel++)
        SplitLines<false>({input + panel * inputs * kColumns, kColumns, kColumns, inputs, false}, 0, kSquares, split_.get() + panel * size_);
    });
  }

  const Split *At(int64_t panel) const { return split_.get() + panel * size_; }
  int vectors(int64_t panel) const { return sizes_.vectors(panel); }

 private:
  const Sizes &sizes_;
  int64_t size_;
  SplitBuffer split_;
};

// kOutputs rows of a weight, zeros below the last one.
class WeightRows {
 public:
  explicit WeightRows(int64_t inputs) : inputs_(inputs), rows_(AllocateSplit(Steps(inputs) * kSquares)) {}

  void Take(const float *weight, int64_t first, int64_t outputs) {
    SplitLines<true>({weight, inputs_, outputs, inputs_, true}, first, kSquares, rows_.get());
  }

  void Times(const TokenPanels &tokens, int64_t panel, const Ahead &ahead, SplitTile &tile) const {
    MultiplySquares(kSquares, tokens.vectors(panel), rows_.get(), tokens.At(panel), Steps(inputs_), tile.value[0], kColumns, ahead);
  }

 private:
  int64_t inputs_;
  SplitBuffer rows_;
};

}  // namespace elf
