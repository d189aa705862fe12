// All transformer blocks of a network in one operation, forwards only: what samplers and predictions without gradient run.
//
// Notable: activations lie in panels of kColumns tokens, channel by channel, so that a vector holds one channel of many
// tokens. Weights are then read as they are stored, norms and softmax need no sums across a vector, and what follows a
// product is done while its tile is in the cache.
#include <vector>

#include "head.h"
#include "kernels.h"
#include "linear.h"
#include "panels.h"
#include "pool.h"
#include "vector_math.h"

namespace elf {
namespace {

// Tokens that a thread takes through all blocks at once, at least: what is between two products then stays in its cache.
constexpr int64_t kShare = 512;

// to ← x / √(mean square of the channels) · weight
void Normalise(const float *x, int64_t channels, const float *weight, int64_t panels, float *to) {
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

// The weights of one block, in the order in which the operation takes them.
struct Block {
  const float *norm1, *product, *productBias, *queryNorm, *keyNorm, *projection, *projectionBias, *norm2, *gate, *gateBias, *last, *lastBias;
};
constexpr int kBlockWeights = 12;

// What one block needs beside the residual stream. What attention makes takes the place of what it was made of, and so does
// what the gate makes: less has to stay in the cache.
struct Workspace {
  explicit Workspace(const Sizes &sizes) : narrow(sizes.Panels(sizes.hidden)), wide(sizes.Panels(std::max(3 * sizes.hidden, sizes.inner))) {}

  // Channels as many as the residual stream has, and more.
  Buffer narrow, wide;
};

// stream ← stream + (input · weightᵀ + bias)
void AddLinear(const float *input, int64_t inputs, const float *weight, const float *bias, const Sizes &sizes, float *stream) {
  Linear<1>(input, inputs, weight, sizes.hidden, sizes, [&](int64_t output, int64_t rows, int64_t panel, const Tile *tiles) {
    for (int64_t row = 0; row < rows; row++) {
      float *to = stream + (panel * sizes.hidden + output + row) * kColumns;
      for (int lane = 0; lane < kColumns; lane++) to[lane] += tiles[0].value[row][lane] + bias[output + row];
    }
  });
}

void RunBlock(const Block &block, const Sizes &sizes, const Rotation &rotation, float *stream, Workspace &work) {
  const int64_t hidden = sizes.hidden, inner = sizes.inner, panels = sizes.panels();
  Normalise(stream, hidden, block.norm1, panels, work.narrow.get());
  Linear<1>(work.narrow.get(), hidden, block.product, 3 * hidden, sizes, [&](int64_t output, int64_t rows, int64_t panel, const Tile *tiles) {
    for (int64_t row = 0; row < rows; row++) {
      float *to = work.wide.get() + (panel * 3 * hidden + output + row) * kColumns;
      for (int lane = 0; lane < kColumns; lane++) to[lane] = tiles[0].value[row][lane] + block.productBias[output + row];
    }
  });
  Parallel(sizes.batch * sizes.heads, 1, [&](int64_t begin, int64_t end) {
    Head head(sizes, rotation);
    for (int64_t index = begin; index < end; index++) head.Attend(work.wide.get(), block.queryNorm, block.keyNorm, index / sizes.heads, index % sizes.heads, work.narrow.get());
  });
  AddLinear(work.narrow.get(), hidden, block.projection, block.projectionBias, sizes, stream);
  Normalise(stream, hidden, block.norm2, panels, work.narrow.get());
  Linear<2>(work.narrow.get(), hidden, block.gate, inner, sizes, [&](int64_t output, int64_t rows, int64_t panel, const Tile *tiles) {
    for (int64_t row = 0; row < rows; row++) {
      float *to = work.wide.get() + (panel * inner + output + row) * kColumns;
      const float leftBias = block.gateBias[output + row], rightBias = block.gateBias[inner + output + row];
#pragma omp simd
      for (int lane = 0; lane < kColumns; lane++) {
        const float a = tiles[0].value[row][lane] + leftBias;
        to[lane] = a * Sigmoid(a) * (tiles[1].value[row][lane] + rightBias);
      }
    }
  });
  AddLinear(work.wide.get(), inner, block.last, block.lastBias, sizes, stream);
}

// x [tokens, hidden] → panels, zeros beyond the last token
void ToPanels(const float *x, const Sizes &sizes, float *stream) {
  Parallel(sizes.panels(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; panel++)
      for (int64_t lane = 0; lane < kColumns; lane++) {
        const int64_t token = panel * kColumns + lane;
        float *to = stream + panel * sizes.hidden * kColumns + lane;
        for (int64_t channel = 0; channel < sizes.hidden; channel++) to[channel * kColumns] = token < sizes.tokens() ? x[token * sizes.hidden + channel] : 0;
      }
  });
}

// Positions from `skipped` on of each sequence → y [batch, positions − skipped, hidden]
void FromPanels(const float *stream, const Sizes &sizes, int64_t skipped, float *y) {
  const int64_t kept = sizes.positions - skipped;
  Parallel(sizes.batch * kept, 8, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const int64_t token = (row / kept) * sizes.positions + skipped + row % kept;
      const float *from = stream + (token / kColumns) * sizes.hidden * kColumns + token % kColumns;
      for (int64_t channel = 0; channel < sizes.hidden; channel++) y[row * sizes.hidden + channel] = from[channel * kColumns];
    }
  });
}

Buffer TurnedRound(const float *table, const Sizes &sizes, int64_t stride) {
  Buffer turned = Zeros(sizes.headSize * stride);
  for (int64_t position = 0; position < sizes.positions; position++)
    for (int64_t channel = 0; channel < sizes.headSize; channel++) turned[channel * stride + position] = table[position * sizes.headSize + channel];
  return turned;
}

constexpr int kTensors = 4;

Block BlockOf(Run &run, int index, const Sizes &sizes) {
  const int64_t hidden = sizes.hidden, inner = sizes.inner, head = sizes.headSize;
  const int64_t expected[kBlockWeights] = {hidden, 3 * hidden * hidden, 3 * hidden, head, head, hidden * hidden, hidden, hidden, 2 * inner * hidden, 2 * inner, hidden * inner, hidden};
  const float *weights[kBlockWeights];
  for (int i = 0; i < kBlockWeights; i++) {
    const int input = kTensors + index * kBlockWeights + i;
    Run::Require(run.Size(input) == expected[i], "a weight has another size than its block");
    weights[i] = run.Input(input);
  }
  return {weights[0], weights[1], weights[2], weights[3], weights[4], weights[5], weights[6], weights[7], weights[8], weights[9], weights[10], weights[11]};
}

Sizes SizesOf(Run &run) {
  Sizes sizes;
  sizes.hidden = run.Axis(0, -1);
  sizes.positions = run.Axis(1, 0);
  sizes.headSize = run.Axis(1, -1);
  Run::Require(sizes.positions > 0 && sizes.headSize > 0 && sizes.headSize % 2 == 0 && sizes.hidden > 0 && sizes.hidden % sizes.headSize == 0, "the width does not split into heads");
  sizes.heads = sizes.hidden / sizes.headSize;
  sizes.batch = run.Size(0) / (sizes.hidden * sizes.positions);
  Run::Require(sizes.batch * sizes.hidden * sizes.positions == run.Size(0) && sizes.batch > 0, "the stream does not split into sequences");
  for (int table : {1, 2}) Run::Require(run.Size(table) == sizes.positions * sizes.headSize, "the tables of rotations differ in size");
  sizes.inner = run.Axis(kTensors + 10, -1);
  return sizes;
}

// Everything that a run reads.
struct Network {
  std::vector<Block> blocks;
  Rotation rotation;
  int64_t skipped;
};

// Takes sequences through all blocks: x [batch · positions, hidden] → y [batch, positions − skipped, hidden]
void RunSequences(const Network &network, const Sizes &sizes, const float *x, float *y) {
  const Buffer stream = sizes.Panels(sizes.hidden);
  Workspace work(sizes);
  ToPanels(x, sizes, stream.get());
  for (const Block &block : network.blocks) RunBlock(block, sizes, network.rotation, stream.get(), work);
  FromPanels(stream.get(), sizes, network.skipped, y);
}

// Each thread takes sequences of its own through all blocks and waits for nobody; those left over are taken by all together.
void RunShares(const Network &network, const Sizes &sizes, const float *x, float *y) {
  const int64_t together = std::max<int64_t>(1, std::min(sizes.batch / Threads(), Ceiling(kShare, sizes.positions)));
  EachApart(Ceiling(sizes.batch, together), [&](int64_t share) {
    const int64_t first = share * together;
    Sizes own = sizes;
    own.batch = std::min(together, sizes.batch - first);
    RunSequences(network, own, x + first * sizes.positions * sizes.hidden, y + first * (sizes.positions - network.skipped) * sizes.hidden);
  });
}

// x [B·N, hidden], cos, sin [N, d], skipped [1] int32, and for each block its weights → [B, N − skipped, hidden]
void Trunk(Run &run) {
  const int blocks = (run.Inputs() - kTensors) / kBlockWeights;
  Run::Require(blocks > 0 && run.Inputs() == kTensors + blocks * kBlockWeights, "a block takes twelve weights");
  const Sizes sizes = SizesOf(run);
  const int64_t skipped = run.Input<int32_t>(3)[0];
  Run::Require(skipped >= 0 && skipped <= sizes.positions, "more positions are left out than there are");
  const int64_t stride = Ceiling(sizes.positions, kColumns) * kColumns;
  Network network{{}, {stride, TurnedRound(run.Input(1), sizes, stride), TurnedRound(run.Input(2), sizes, stride)}, skipped};
  for (int index = 0; index < blocks; index++) network.blocks.push_back(BlockOf(run, index, sizes));
  RunShares(network, sizes, run.Input(0), run.Output(0, {sizes.batch, sizes.positions - skipped, sizes.hidden}));
}

}  // namespace

void RegisterTrunk() {
  Register<Trunk>("ElfTrunk", {"x: float", "cos: float", "sin: float", "skipped: int32", "weights: count * float"}, {"y: float"}, {"count: int >= 1"});
}

}  // namespace elf
