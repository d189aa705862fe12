// Products of a weight with panels of tokens, and what follows each of them while its tile is at hand.
//
// Either form of the factors defines kOutputs, the outputs that are computed at once, OutputTile [kOutputs, kColumns], TokenPanels, WeightRows, and
// kShare: tokens that a thread takes through all blocks at once, about, so that what is between two products stays in its cache,
// kLeastShare: fewer tokens are not worth a pass of their own,
// kCached: numbers of weights that stay in the second-level cache while activations pass by.
#pragma once

#include <algorithm>
#include <vector>

#include "pool.h"
#ifdef __AMX_BF16__
#include "split_factors.h"
#else
#include "plain_factors.h"
#endif

namespace elf {

// Products of a weight [parts · outputs, inputs] with all panels. finish(output, rows, panel, tiles) gets, for each part,
// those of `rows` outputs from `output` on with one panel. Some rows of the weight stay in the cache while all panels pass by,
// and the next ones come there meanwhile.
template <int parts, typename Finish>
void Linear(const float *input, int64_t inputs, const float *weight, int64_t outputs, const Sizes &sizes, const Finish &finish) {
  const TokenPanels tokens(input, inputs, sizes);
  const int64_t panels = sizes.panels(), together = std::max<int64_t>(1, kCached / (parts * kOutputs * inputs));
  Parallel(Ceiling(outputs, kOutputs), 1, [&](int64_t begin, int64_t end) {
    const Registers registers;
    std::vector<WeightRows> rows;
    for (int64_t i = 0; i < parts * std::min(together, end - begin); i++) rows.emplace_back(inputs);
    OutputTile tiles[parts] = {};
    for (int64_t first = begin; first < end; first += together) {
      const int64_t last = std::min(end, first + together), next = std::min(outputs, std::min(end, last + together) * kOutputs);
      for (int64_t group = first; group < last; group++)
        for (int part = 0; part < parts; part++) rows[(group - first) * parts + part].Take(weight + part * outputs * inputs, group * kOutputs, outputs);
      for (int64_t panel = 0; panel < panels; panel++)
        for (int64_t group = first; group < last; group++) {
          const int64_t output = group * kOutputs, at = panel * (last - first) + group - first;
          for (int part = 0; part < parts; part++) {
            const float *outputsOfPart = weight + part * outputs * inputs;
            const Ahead ahead = Part(outputsOfPart + std::min(outputs, last * kOutputs) * inputs, outputsOfPart + next * inputs, at, panels * (last - first));
            rows[(group - first) * parts + part].Times(tokens, panel, ahead, tiles[part]);
          }
          finish(output, std::min<int64_t>(kOutputs, outputs - output), panel, tiles);
        }
    }
  });
}

}  // namespace elf
