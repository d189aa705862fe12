// All transformer blocks of a network in one operation, forwards only: what samplers and predictions without gradient run.
//
// Notable: activations lie in panels of kColumns tokens, channel by channel, so that a vector holds one channel of many
// tokens. Weights are then read as they are stored, norms and softmax need no sums across a vector, and what follows a
// product is done while its tile is in the cache.
#include <vector>

#include "aligned.h"
#include "kernels.h"
#include "pool.h"
#include "tile.h"
#include "vector_math.h"

namespace elf {
namespace {

constexpr float kEpsilon = 1e-6f;
// Numbers of weights that stay in the second-level cache while activations pass by.
constexpr int64_t kCached = 1 << 15;

// Tokens that a thread takes through all blocks at once, at least: what is between two products then stays in its cache.
constexpr int64_t kShare = 512;

typedef AlignedBuffer Buffer;

struct Sizes {
  int64_t batch, positions, hidden, heads, headSize, inner;

  int64_t tokens() const { return batch * positions; }
  int64_t panels() const { return Ceiling(tokens(), kColumns); }
  // Whether the last panel has so few tokens that half of its lanes hold them.
  bool narrowEnd() const { return tokens() % kColumns != 0 && tokens() % kColumns <= kLanes; }
  Buffer Panels(int64_t channels) const { return Allocate(panels() * channels * kColumns); }
};

Buffer Zeros(int64_t count) {
  Buffer zeros = Allocate(count);
  std::fill_n(zeros.get(), count, 0.0f);
  return zeros;
}

// Calls body(panel, lane, position, count) for the runs of tokens of one sequence that lie in one panel.
template <typename Body>
void EachRun(const Sizes &sizes, int64_t sequence, const Body &body) {
  for (int64_t position = 0; position < sizes.positions;) {
    const int64_t token = sequence * sizes.positions + position, lane = token % kColumns;
    const int64_t count = std::min(kColumns - lane, sizes.positions - position);
    body(token / kColumns, lane, position, count);
    position += count;
  }
}

// kRows rows of a weight, zeros below the last one. Where rows lie apart by a multiple of a page they would displace each other
// from the first-level cache, so they are copied.
class WeightRows {
 public:
  explicit WeightRows(int64_t inputs) : inputs_(inputs), copies_(Allocate(kRows * (inputs + kLanes))) {}

  void Take(const float *weight, int64_t first, int64_t outputs) {
    rows_ = weight + first * inputs_;
    apart_ = inputs_;
    if (first + kRows <= outputs && inputs_ * sizeof(float) % 4096 != 0) return;
    for (int64_t row = 0; row < kRows; row++) {
      float *to = copies_.get() + row * (inputs_ + kLanes);
      if (first + row < outputs) std::copy_n(rows_ + row * inputs_, inputs_, to);
      else std::fill_n(to, inputs_, 0.0f);
    }
    rows_ = copies_.get();
    apart_ = inputs_ + kLanes;
  }

  void Times(const float *panel, bool narrow, Tile &tile) const {
    if (narrow) Multiply<1>(rows_, apart_, 1, panel, kColumns, inputs_, tile);
    else Multiply(rows_, apart_, 1, panel, kColumns, inputs_, tile);
  }

 private:
  int64_t inputs_, apart_ = 0;
  const float *rows_ = nullptr;
  AlignedBuffer copies_;
};

// Asks for part `at` of `of` of what lies in [begin, end), so that it is in the second-level cache when it is needed.
inline void Fetch(const float *begin, const float *end, int64_t at, int64_t of) {
  const int64_t count = std::max<int64_t>(0, end - begin);
  for (int64_t i = count * at / of; i < count * (at + 1) / of; i += 16) __builtin_prefetch(begin + i, 0, 2);
}

// Products of a weight [parts · outputs, inputs] with all panels. finish(output, rows, panel, tiles) gets, for each part,
// those of `rows` outputs from `output` on with one panel. Some rows of the weight stay in the cache while all panels pass by,
// and the next ones come there meanwhile.
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
      for (int64_t panel = 0; panel < panels; panel++) {
        for (int part = 0; part < parts; part++)
          Fetch(weight + (part * outputs + last * kRows) * inputs, weight + (part * outputs + next) * inputs, panel, panels);
        const bool narrow = panel + 1 == panels && sizes.narrowEnd();
        for (int64_t group = first; group < last; group++) {
          const int64_t output = group * kRows;
          for (int part = 0; part < parts; part++) rows[(group - first) * parts + part].Times(input + panel * inputs * kColumns, narrow, tiles[part]);
          finish(output, std::min<int64_t>(kRows, outputs - output), panel, tiles);
        }
      }
    }
  });
}

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

  // Takes a head of the product [panel, 3 · heads · headSize, lane] and adds what it attends to to `out` [panel, hidden, lane].
  void Attend(const float *product, const Block &block, int64_t sequence, int64_t head, float *out) {
    const int64_t at = head * sizes_.headSize;
    Take(product, sequence, at, query_.get());
    Take(product, sequence, sizes_.hidden + at, key_.get());
    Take(product, sequence, 2 * sizes_.hidden + at, value_.get());
    Turn(query_.get(), block.queryNorm, 1.0f / std::sqrt(static_cast<float>(sizes_.headSize)));
    Turn(key_.get(), block.keyNorm, 1);
    for (int64_t first = 0; first < sizes_.positions; first += kColumns) {
      if (sizes_.positions - first > kLanes) AttendFrom<2>(first, sequence, at, out);
      else AttendFrom<1>(first, sequence, at, out);
    }
  }

 private:
  // Tiles may reach kRows numbers beyond the last row.
  Buffer Rows(int64_t channels) const { return Zeros((Ceiling(channels, kRows) * kRows + 1) * stride_); }

  void Take(const float *product, int64_t sequence, int64_t from, float *to) const {
    EachRun(sizes_, sequence, [&](int64_t panel, int64_t lane, int64_t position, int64_t count) {
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

  // What the queries of `vectors` vectors from `first` on attend to.
  template <int vectors>
  void AttendFrom(int64_t first, int64_t sequence, int64_t at, float *out) {
    float share[vectors * kLanes];
    Weigh<vectors>(first, share);
    Collect<vectors>(first, share, sequence, at, out);
  }

  // scores_[key, lane] ← e^(key · query − greatest); share ← 1 / their sums.
  template <int vectors>
  void Weigh(int64_t first, float *share) {
    constexpr int width = vectors * kLanes;
    float greatest[width];
    std::fill_n(greatest, width, -INFINITY);
    for (int64_t key = 0; key < sizes_.positions; key += kRows) {
      Tile &tile = *reinterpret_cast<Tile *>(scores_.get() + key * kColumns);
      Multiply<vectors>(key_.get() + key, 1, stride_, query_.get() + first, stride_, sizes_.headSize, tile);
      for (int64_t row = 0; row < std::min<int64_t>(kRows, sizes_.positions - key); row++)
        for (int lane = 0; lane < width; lane++) greatest[lane] = std::max(greatest[lane], tile.value[row][lane]);
    }
    float total[width] = {};
    for (int64_t key = 0; key < sizes_.positions; key++) {
      float *score = scores_.get() + key * kColumns;
#pragma omp simd
      for (int lane = 0; lane < width; lane++) {
        score[lane] = Exp(score[lane] - greatest[lane]);
        total[lane] += score[lane];
      }
    }
    for (int lane = 0; lane < width; lane++) share[lane] = 1 / total[lane];
  }

  // The values under those weights go to the queries' places.
  template <int vectors>
  void Collect(int64_t first, const float *share, int64_t sequence, int64_t at, float *out) const {
    Tile tile;
    const int64_t end = std::min(first + vectors * kLanes, sizes_.positions);
    for (int64_t channel = 0; channel < sizes_.headSize; channel += kRows) {
      Multiply<vectors>(value_.get() + channel * stride_, stride_, 1, scores_.get(), kColumns, sizes_.positions, tile);
      const int64_t rows = std::min<int64_t>(kRows, sizes_.headSize - channel);
      for (int64_t row = 0; row < rows; row++) {
        float *sums = tile.value[row];
        for (int lane = 0; lane < vectors * kLanes; lane++) sums[lane] *= share[lane];
        for (int64_t position = first; position < end;) {
          const int64_t token = sequence * sizes_.positions + position, lane = token % kColumns, count = std::min(kColumns - lane, end - position);
          std::copy_n(sums + position - first, count, out + ((token / kColumns) * sizes_.hidden + at + channel + row) * kColumns + lane);
          position += count;
        }
      }
    }
  }

  const Sizes &sizes_;
  const Rotation &rotation_;
  int64_t stride_;
  Buffer query_, key_, value_, scores_;
};

// What one block needs beside the residual stream.
struct Workspace {
  explicit Workspace(const Sizes &sizes)
      : normed(sizes.Panels(sizes.hidden)), product(sizes.Panels(3 * sizes.hidden)), attended(sizes.Panels(sizes.hidden)), gated(sizes.Panels(sizes.inner)) {
    // Lanes beyond the last token belong to nobody, but are multiplied with the others.
    std::fill_n(attended.get() + (sizes.panels() - 1) * sizes.hidden * kColumns, sizes.hidden * kColumns, 0.0f);
  }

  Buffer normed, product, attended, gated;
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
  Normalise(stream, hidden, block.norm1, panels, work.normed.get());
  Linear<1>(work.normed.get(), hidden, block.product, 3 * hidden, sizes, [&](int64_t output, int64_t rows, int64_t panel, const Tile *tiles) {
    for (int64_t row = 0; row < rows; row++) {
      float *to = work.product.get() + (panel * 3 * hidden + output + row) * kColumns;
      for (int lane = 0; lane < kColumns; lane++) to[lane] = tiles[0].value[row][lane] + block.productBias[output + row];
    }
  });
  Parallel(sizes.batch * sizes.heads, 1, [&](int64_t begin, int64_t end) {
    Head head(sizes, rotation);
    for (int64_t index = begin; index < end; index++) head.Attend(work.product.get(), block, index / sizes.heads, index % sizes.heads, work.attended.get());
  });
  AddLinear(work.attended.get(), hidden, block.projection, block.projectionBias, sizes, stream);
  Normalise(stream, hidden, block.norm2, panels, work.normed.get());
  Linear<2>(work.normed.get(), hidden, block.gate, inner, sizes, [&](int64_t output, int64_t rows, int64_t panel, const Tile *tiles) {
    for (int64_t row = 0; row < rows; row++) {
      float *to = work.gated.get() + (panel * inner + output + row) * kColumns;
      const float leftBias = block.gateBias[output + row], rightBias = block.gateBias[inner + output + row];
#pragma omp simd
      for (int lane = 0; lane < kColumns; lane++) {
        const float a = tiles[0].value[row][lane] + leftBias;
        to[lane] = a * Sigmoid(a) * (tiles[1].value[row][lane] + rightBias);
      }
    }
  });
  AddLinear(work.gated.get(), inner, block.last, block.lastBias, sizes, stream);
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
