// The most likely token of a large vocabulary, without ever storing logits.
#include <algorithm>
#include <mutex>
#include <vector>

#include "aligned.h"
#include "kernels.h"
#include "panel_rows.h"
#include "pool.h"
#include "screen.h"
#include "tile.h"

namespace elf {
namespace {

// Tokens of the vocabulary whose columns are packed at once: they stay in the second-level cache.
constexpr int64_t kGroups = 96 / kRows, kTokens = kGroups * kRows;

// The best of one part of the vocabulary for each row.
struct Best {
  int64_t begin;
  std::vector<float> value;
  std::vector<int32_t> token;
};

// kTokens columns of kernel [width, V] from `first` on → [kGroups, width, kRows], zeros beyond the last one
void PackTokens(const float *kernel, int64_t width, int64_t vocabulary, int64_t first, float *to) {
  const int64_t present = std::min(kTokens, vocabulary - first);
  for (int64_t term = 0; term < width; term++) {
    const float *from = kernel + term * vocabulary + first;
    for (int64_t group = 0; group < kGroups; group++)
      for (int64_t row = 0; row < kRows; row++) to[(group * width + term) * kRows + row] = group * kRows + row < present ? from[group * kRows + row] : 0;
  }
}

// rows [M, width] → panels [panel, width, lane], zeros beyond the last row
AlignedBuffer ToPanels(const float *rows, int64_t count, int64_t width) {
  const int64_t panels = Ceiling(count, kColumns);
  const std::vector<float> none(width);
  AlignedBuffer to = Allocate(panels * width * kColumns);
  Parallel(panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; panel++) {
      ReadRows from;
      for (int64_t lane = 0; lane < kColumns; lane++) from[lane] = panel * kColumns + lane < count ? rows + (panel * kColumns + lane) * width : none.data();
      RowsToPanel(from, width, to.get() + panel * width * kColumns);
    }
  });
  return to;
}

// Of equal values the first one stays.
void Keep(const Tile &tile, const float *bias, int64_t first, int64_t present, float *value, int32_t *token) {
  for (int64_t row = 0; row < present; row++) {
    const int32_t id = static_cast<int32_t>(first + row);
    const float added = bias[id];
#pragma omp simd
    for (int lane = 0; lane < kColumns; lane++) {
      const float logit = tile.value[row][lane] + added;
      token[lane] = logit > value[lane] ? id : token[lane];
      value[lane] = logit > value[lane] ? logit : value[lane];
    }
  }
}

// head [M, width], kernel [width, V], bias [V] → the first most likely token of each row [M]; 0 where no logit is a number
void Decode(Run &run) {
  const float *kernel = run.Input(1), *bias = run.Input(2);
  const int64_t width = run.Axis(0, -1), vocabulary = run.Size(2);
  Run::Require(width > 0 && vocabulary > 0 && run.Axis(1, 0) == width && run.Size(1) == width * vocabulary, "head, kernel and bias do not fit each other");
  const int64_t rows = run.Size(0) / width, panels = Ceiling(rows, kColumns);
  int32_t *tokens = run.Output<int32_t>(0, {rows}, TF_INT32);
  if (ScreenedTokens({run.Input(0), kernel, bias, rows, width, vocabulary}, tokens)) return;
  const AlignedBuffer head = ToPanels(run.Input(0), rows, width);
  std::mutex collecting;
  std::vector<Best> parts;
  Parallel(Ceiling(vocabulary, kTokens), 1, [&](int64_t begin, int64_t end) {
    Best best{begin, std::vector<float>(panels * kColumns, -INFINITY), std::vector<int32_t>(panels * kColumns, 0)};
    const AlignedBuffer packed = Allocate(kTokens * width);
    Tile tile;
    for (int64_t block = begin; block < end; block++) {
      PackTokens(kernel, width, vocabulary, block * kTokens, packed.get());
      for (int64_t panel = 0; panel < panels; panel++)
        for (int64_t group = 0; group < kGroups; group++) {
          const int64_t first = block * kTokens + group * kRows;
          if (first >= vocabulary) break;
          Multiply(packed.get() + group * width * kRows, 1, kRows, head.get() + panel * width * kColumns, kColumns, width, tile);
          Keep(tile, bias, first, std::min<int64_t>(kRows, vocabulary - first), best.value.data() + panel * kColumns, best.token.data() + panel * kColumns);
        }
    }
    std::lock_guard<std::mutex> lock(collecting);
    parts.push_back(std::move(best));
  });
  std::sort(parts.begin(), parts.end(), [](const Best &a, const Best &b) { return a.begin < b.begin; });
  for (int64_t row = 0; row < rows; row++) {
    const Best *best = &parts.front();
    for (const Best &part : parts)
      if (part.value[row] > best->value[row]) best = &part;
    tokens[row] = best->token[row];
  }
}

}  // namespace

void RegisterDecode() { Register<Decode>("ElfDecode", {"head: float", "kernel: float", "bias: float"}, {"tokens: int32"}); }

}  // namespace elf
