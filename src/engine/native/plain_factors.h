// What a linear layer multiplies in single precision: panels of tokens as they are, and weights as they are stored. See linear.h.
#pragma once

#include <algorithm>

#include "panels.h"

namespace elf {

constexpr int kOutputs = kRows;
typedef Tile OutputTile;
constexpr int64_t kShare = 512, kLeastShare = 0, kCached = 1 << 15;

// Panels of tokens [panel, inputs, kColumns].
class TokenPanels {
 public:
  TokenPanels(const float *input, int64_t inputs, const Sizes &sizes) : input_(input), inputs_(inputs), sizes_(sizes) {}

  const float *At(int64_t panel) const { return input_ + panel * inputs_ * kColumns; }
  int vectors(int64_t panel) const { return sizes_.vectors(panel); }

 private:
  const float *input_;
  int64_t inputs_;
  const Sizes &sizes_;
};

// kRows rows of a weight, zeros below the last one. Rows that would displace each other from the cache are copied.
class WeightRows {
 public:
  explicit WeightRows(int64_t inputs) : inputs_(inputs), copies_(Allocate(kRows * (inputs + kLanes))) {}

  void Take(const float *weight, int64_t first, int64_t outputs) {
    rows_ = weight + first * inputs_;
    apart_ = inputs_;
    if (first + kRows <= outputs && !Collide(inputs_)) return;
    for (int64_t row = 0; row < kRows; row++) {
      float *to = copies_.get() + row * (inputs_ + kLanes);
      if (first + row < outputs) std::copy_n(rows_ + row * inputs_, inputs_, to);
      else std::fill_n(to, inputs_, 0.0f);
    }
    rows_ = copies_.get();
    apart_ = inputs_ + kLanes;
  }

  void Times(const TokenPanels &tokens, int64_t panel, const Ahead &ahead, Tile &tile) const {
    WithVectors(tokens.vectors(panel), [&](auto count) { Multiply<count>(rows_, apart_, 1, tokens.At(panel), kColumns, inputs_, tile, ahead); });
  }

 private:
  int64_t inputs_, apart_ = 0;
  const float *rows_ = nullptr;
  AlignedBuffer copies_;
};

}  // namespace elf
