// Products of a weight with panels of tokens. Weights are read as they are stored, and what follows a product is done while its tile
// is at hand.
#pragma once

#include <algorithm>
#include <vector>

#include "panels.h"
#include "pool.h"

namespace elf {

// Outputs that are computed at once, and their products with a panel.
constexpr int kOutputs = kRows;
typedef Tile OutputTile;

constexpr int64_t kShare = 512, kLeastShare = 0;

// Numbers of weights that stay in the second-level cache while activations pass by.
constexpr int64_t kCached = 1 << 15;

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

  void Times(const float *panel, int vectors, const Ahead &ahead, Tile &tile) const {
    WithVectors(vectors, [&](auto count) { Multiply<count>(rows_, apart_, 1, panel, kColumns, inputs_, tile, ahead); });
  }

 private:
  int64_t inputs_, apart_ = 0;
  const float *rows_ = nullptr;
  AlignedBuffer copies_;
};

// See linear.h. Some rows of the weight stay in the cache while all panels pass by, and the next ones come there meanwhile.
template <int parts, typename Finish>
void Linear(const float *input, int64_t inputs, const float *weight, int64_t outputs, const Sizes &sizes, const Finish &finish) {
  const int64_t panels = sizes.panels();
  const int64_t together = std::max<int64_t>(1, kCached / (parts * kRows * inputs));
  Parallel(Ceiling(outputs, kRows), 1, [&](int64_t begin, int64_t end) {
    std::vector<WeightRows> rows;
    for (int64_t i = 0; i < parts * std::min(together, end - begin); i++) rows.emplace_back(inputs);
    Tile tiles[parts] = {};
    for (int64_t first = begin; first < end; first += together) {
      const int64_t last = std::min(end, first + together), next = std::min(outputs, std::min(end, last + together) * kRows);
      for (int64_t group = first; group < last; group++)
        for (int part = 0; part < parts; part++) rows[(group - first) * parts + part].Take(weight + part * outputs * inputs, group * kRows, outputs);
      for (int64_t panel = 0; panel < panels; panel++)
        for (int64_t group = first; group < last; group++) {
          const int64_t output = group * kRows, at = panel * (last - first) + group - first;
          for (int part = 0; part < parts; part++) {
            const float *outputsOfPart = weight + part * outputs * inputs;
            const Ahead ahead = Part(outputsOfPart + std::min(outputs, last * kRows) * inputs, outputsOfPart + next * inputs, at, panels * (last - first));
            rows[(group - first) * parts + part].Times(input + panel * inputs * kColumns, sizes.vectors(panel), ahead, tiles[part]);
          }
          finish(output, std::min<int64_t>(kRows, outputs - output), panel, tiles);
        }
    }
  });
}

}  // namespace elf
