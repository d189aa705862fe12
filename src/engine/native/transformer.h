// One transformer block on panels of tokens, in place.
#pragma once

#include <algorithm>
#include <cmath>

#include "head.h"
#include "linear.h"
#include "panels.h"
#include "pool.h"
#include "vector_math.h"

namespace elf {

// to ← x / √(mean square of the channels) · weight
inline void Normalise(const float *x, int64_t channels, const float *weight, int64_t panels, float *to) {
  Parallel(panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; panel++) {
      const float *from = x + panel * channels * kColumns;
      float *normed = to + panel * channels * kColumns, scale[kColumns] = {};
      for (int64_t channel = 0; channel < channels; channel++)
        for (int lane = 0; lane < kColumns; lane++) scale[lane] += from[channel * kColumns + lane] * from[channel * kColumns + lane];
      for (int lane = 0; lane < kColumns; lane++) scale[lane] = 1.0f / std::sqrt(scale[lane] / channels + kEpsilon);
      for (int64_t channel = 0; channel < channels; channel++)
        for (int lane = 0; lane < kColumns; lane++) normed[channel * kColumns + lane] = from[channel * kColumns + lane] * scale[lane] * weight[channel];
    }
  });
}

// A linear layer: weight [outputs, inputs], bias [outputs].
struct Layer {
  const float *weight, *bias;
  int64_t inputs, outputs;
};

// to ← input · weightᵀ + bias
inline void Apply(const Layer &layer, const float *input, const Sizes &sizes, float *to) {
  Linear<1>(input, layer.inputs, layer.weight, layer.outputs, sizes, [&](int64_t output, int64_t rows, int64_t panel, const OutputTile *tiles) {
    for (int64_t row = 0; row < rows; row++) {
      float *values = to + (panel * layer.outputs + output + row) * kColumns;
      for (int lane = 0; lane < kColumns; lane++) values[lane] = tiles[0].value[row][lane] + layer.bias[output + row];
    }
  });
}

// stream ← stream + (input · weightᵀ + bias)
inline void AddTo(const Layer &layer, const float *input, const Sizes &sizes, float *stream) {
  Linear<1>(input, layer.inputs, layer.weight, layer.outputs, sizes, [&](int64_t output, int64_t rows, int64_t panel, const OutputTile *tiles) {
    for (int64_t row = 0; row < rows; row++) {
      float *values = stream + (panel * layer.outputs + output + row) * kColumns;
      for (int lane = 0; lane < kColumns; lane++) values[lane] += tiles[0].value[row][lane] + layer.bias[output + row];
    }
  });
}

// The weights of one block.
struct TransformerBlock {
  const float *norm1;
  Layer product;
  const float *queryNorm, *keyNorm;
  Layer projection;
  const float *norm2;
  Layer gate, last;
};

// What one block needs beside the residual stream. What attention makes takes the place of what it was made of, and so does
// what the gate makes: less has to stay in the cache.
struct Workspace {
  explicit Workspace(const Sizes &sizes) : narrow(sizes.Panels(sizes.hidden)), wide(sizes.Panels(std::max(3 * sizes.hidden, sizes.inner))) {}

  // Channels as many as the residual stream has, and more.
  Buffer narrow, wide;
};

// to ← silu(a) · b, where a and b are the halves of what the layer makes
inline void ApplyGate(const Layer &gate, const float *input, const Sizes &sizes, float *to) {
  const int64_t inner = gate.outputs / 2;
  Linear<2>(input, gate.inputs, gate.weight, inner, sizes, [&](int64_t output, int64_t rows, int64_t panel, const OutputTile *tiles) {
    for (int64_t row = 0; row < rows; row++) {
      float *values = to + (panel * inner + output + row) * kColumns;
      const float leftBias = gate.bias[output + row], rightBias = gate.bias[inner + output + row];
#pragma omp simd
      for (int lane = 0; lane < kColumns; lane++) {
        const float a = tiles[0].value[row][lane] + leftBias;
        values[lane] = a * Sigmoid(a) * (tiles[1].value[row][lane] + rightBias);
      }
    }
  });
}

// The stream ← what the block makes of it, at the tokens of `wanted`: all, or those of text where nothing else is read afterwards.
inline void RunBlock(const TransformerBlock &block, const Sizes &sizes, const Sizes &wanted, const Rotation &rotation, float *stream, Workspace &work) {
  const int64_t hidden = sizes.hidden;
  float *narrow = work.narrow.get(), *wide = work.wide.get();
  Normalise(stream, hidden, block.norm1, sizes.panels(), narrow);
  Apply(block.product, narrow, sizes, wide);
  Parallel(sizes.batch * sizes.heads, 1, [&](int64_t begin, int64_t end) {
    Head head(sizes, rotation);
    for (int64_t index = begin; index < end; index++)
      head.Attend(wide, block.queryNorm, block.keyNorm, wanted.positions, index / sizes.heads, index % sizes.heads, narrow);
  });
  AddTo(block.projection, narrow, wanted, stream);
  Normalise(stream, hidden, block.norm2, wanted.panels(), narrow);
  ApplyGate(block.gate, narrow, wanted, wide);
  AddTo(block.last, wide, wanted, stream);
}

}  // namespace elf
