// Linear layers on the processor's tile registers, see linear.h.
#pragma once

#include "panels.h"
#include "pool.h"
#include "split_tile.h"

namespace elf {

constexpr int kOutputs = kSplitRows;
typedef SplitTile OutputTile;

// Fewer tokens do not make up for what splitting a weight takes, and split ones take more of the cache.
constexpr int64_t kShare = 256, kLeastShare = 256;

// Split squares of weights that stay in the second-level cache while activations pass by: half a megabyte.
constexpr int64_t kKept = (1 << 19) / sizeof(Split);

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

  // tile ← rows · panel
  void Multiply(const Split *rows, int64_t panel, const Ahead &ahead, SplitTile &tile) const {
    MultiplySquares(kSquares, sizes_.vectors(panel), rows, split_.get() + panel * size_, size_ / kSquares, tile.value[0], kColumns, ahead);
  }

 private:
  const Sizes &sizes_;
  int64_t size_;
  SplitBuffer split_;
};

// Some rows of the weight are split and stay in the second-level cache while all panels pass by; the next ones come from memory
// meanwhile.
template <int parts, typename Finish>
void Linear(const float *input, int64_t inputs, const float *weight, int64_t outputs, const Sizes &sizes, const Finish &finish) {
  const TokenPanels tokens(input, inputs, sizes);
  const int64_t panels = sizes.panels(), size = Steps(inputs) * kSquares, together = std::max<int64_t>(1, kKept / (parts * size));
  Parallel(Ceiling(outputs, kOutputs), 1, [&](int64_t begin, int64_t end) {
    const TileRegisters registers;
    const SplitBuffer rows = AllocateSplit(std::min(together, end - begin) * parts * size);
    OutputTile tiles[parts];
    for (int64_t first = begin; first < end; first += together) {
      const int64_t last = std::min(end, first + together), next = std::min(outputs, std::min(end, last + together) * kOutputs);
      const auto rowsOf = [&](int64_t group, int part) { return rows.get() + ((group - first) * parts + part) * size; };
      for (int64_t group = first; group < last; group++)
        for (int part = 0; part < parts; part++)
          SplitLines<true>({weight + part * outputs * inputs, inputs, outputs, inputs, true}, group * kOutputs, kSquares, rowsOf(group, part));
      for (int64_t panel = 0; panel < panels; panel++)
        for (int64_t group = first; group < last; group++) {
          const int64_t output = group * kOutputs, at = panel * (last - first) + group - first;
          for (int part = 0; part < parts; part++) {
            const float *outputsOfPart = weight + part * outputs * inputs;
            const Ahead ahead = Part(outputsOfPart + std::min(outputs, last * kOutputs) * inputs, outputsOfPart + next * inputs, at, panels * (last - first));
            tokens.Multiply(rowsOf(group, part), panel, ahead, tiles[part]);
          }
          finish(output, std::min<int64_t>(kOutputs, outputs - output), panel, tiles);
        }
    }
  });
}

}  // namespace elf
