// Attention of one head in one sequence. Weights of kColumns queries are held at a time.
#pragma once

#include <algorithm>
#include <cmath>

#include "panels.h"
#include "weigh.h"

namespace elf {

// Rotations turned round, [headSize, stride].
struct Rotation {
  int64_t stride;
  Buffer cos, sin;
};

// One head of one sequence at a time; all buffers are [channel, position].
class Head {
 public:
  Head(const Sizes &sizes, const Rotation &rotation)
      : sizes_(sizes), rotation_(rotation), stride_(rotation.stride), query_(Rows(sizes.headSize)), key_(Rows(sizes.headSize)),
        value_(Rows(sizes.headSize)), scores_(Allocate((sizes.positions + kRows) * kColumns)) {}

  // Takes a head of the product [panel, 3 · heads · headSize, lane] and puts what the first `queries` positions attend to into
  // `out` [panel, hidden, lane].
  void Attend(const float *product, const float *queryNorm, const float *keyNorm, int64_t queries, int64_t sequence, int64_t head, float *out) {
    const int64_t at = head * sizes_.headSize;
    Take(product, sequence, at, query_.get());
    Take(product, sequence, sizes_.hidden + at, key_.get());
    Take(product, sequence, 2 * sizes_.hidden + at, value_.get());
    Turn(query_.get(), queryNorm, 1.0f / std::sqrt(static_cast<float>(sizes_.headSize)));
    Turn(key_.get(), keyNorm, 1);
    for (int64_t first = 0; first < queries; first += kColumns) {
      const int64_t end = std::min(first + kColumns, queries);
      WithVectors(Ceiling(end - first, kLanes), [&](auto vectors) { AttendFrom<vectors>(first, end, sequence, at, out); });
    }
  }

 private:
  // Tiles may reach kRows numbers beyond the last row.
  Buffer Rows(int64_t channels) const { return Zeros((Ceiling(channels, kRows) * kRows + 1) * stride_); }

  void Take(const float *product, int64_t sequence, int64_t from, float *to) const {
    EachRun(sizes_, sequence, 0, sizes_.positions, [&](int64_t panel, int64_t lane, int64_t position, int64_t count) {
      const float *source = product + (panel * 3 * sizes_.hidden + from) * kColumns + lane;
      for (int64_t channel = 0; channel < sizes_.headSize; channel++) std::copy_n(source + channel * kColumns, count, to + channel * stride_ + position);
    });
  }

  // Normalises and rotates.
  void Turn(float *x, const float *weight, float factor) const {
    for (int64_t first = 0; first < stride_; first += kColumns) {
      float scale[kColumns] = {};
      for (int64_t channel = 0; channel < sizes_.headSize; channel++)
        for (int lane = 0; lane < kColumns; lane++) scale[lane] += x[channel * stride_ + first + lane] * x[channel * stride_ + first + lane];
      for (int lane = 0; lane < kColumns; lane++) scale[lane] = 1.0f / std::sqrt(scale[lane] / sizes_.headSize + kEpsilon);
      for (int64_t channel = 0; channel < sizes_.headSize; channel += 2) {
        const int64_t at = channel * stride_ + first;
        float *even = x + at, *odd = even + stride_;
        const float *cos = rotation_.cos.get() + at, *sin = rotation_.sin.get() + at;
        const float evenWeight = weight[channel] * factor, oddWeight = weight[channel + 1] * factor;
#pragma omp simd
        for (int lane = 0; lane < kColumns; lane++) {
          const float a = even[lane] * scale[lane] * evenWeight, b = odd[lane] * scale[lane] * oddWeight;
          even[lane] = a * cos[lane] - b * sin[lane];
          odd[lane] = b * cos[stride_ + lane] + a * sin[stride_ + lane];
        }
      }
    }
  }

  // What the queries [first, end) of `vectors` vectors attend to.
  template <int vectors>
  void AttendFrom(int64_t first, int64_t end, int64_t sequence, int64_t at, float *out) {
    float greatest[vectors * kLanes], share[vectors * kLanes];
    Weigh<vectors>({key_.get(), 1, stride_, sizes_.positions, sizes_.headSize}, query_.get() + first, stride_, scores_.get(), greatest, share);
    Collect<vectors>(first, end, share, sequence, at, out);
  }

  // The values under those weights go to the queries' places.
  template <int vectors>
  void Collect(int64_t first, int64_t end, const float *share, int64_t sequence, int64_t at, float *out) const {
    Tile tile;
    for (int64_t channel = 0; channel < sizes_.headSize; channel += kRows) {
      Multiply<vectors>(value_.get() + channel * stride_, stride_, 1, scores_.get(), kColumns, sizes_.positions, tile);
      const int64_t rows = std::min<int64_t>(kRows, sizes_.headSize - channel);
      for (int64_t row = 0; row < rows; row++)
        for (int lane = 0; lane < vectors * kLanes; lane++) tile.value[row][lane] *= share[lane];
      EachRun(sizes_, sequence, first, end, [&](int64_t panel, int64_t lane, int64_t position, int64_t count) {
        float *to = out + (panel * sizes_.hidden + at + channel) * kColumns + lane;
        for (int64_t row = 0; row < rows; row++) std::copy_n(tile.value[row] + position - first, count, to + row * kColumns);
      });
    }
  }

  const Sizes &sizes_;
  const Rotation &rotation_;
  int64_t stride_;
  Buffer query_, key_, value_, scores_;
};

}  // namespace elf
