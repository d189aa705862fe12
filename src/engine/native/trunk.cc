// A network in one operation, forwards only: from noisy latents through all transformer blocks to the residual stream at text
// positions, or to the prediction made of it. What samplers and passes without gradient run.
//
// Notable: activations lie in panels of kColumns tokens, channel by channel, so that a vector holds one channel of many
// tokens. Weights are then read as they are stored, norms and softmax need no sums across a vector, and what follows a
// product is done while its tile is in the cache.
#include <vector>

#include "kernels.h"
#include "panel_rows.h"
#include "transformer.h"

namespace elf {
namespace {

// Numbers of latents that are taken through the layers before or behind the blocks at once, about: they stay in its cache as well.
constexpr int64_t kPassing = 1 << 17;

// Latents and how they enter the stream: those of all halves side by side through two layers, behind control tokens.
struct Entrance {
  // [batch, positions − prefix, width] each.
  std::vector<const float *> halves;
  int64_t width;
  Layer narrow, wide;
  // [batch, prefix, hidden]
  const float *control;
};

// How the stream leaves: as it is, or through a norm and a layer.
struct Exit {
  const float *norm;
  Layer layer;
  // [batch, positions − prefix, width]
  float *to;
  int64_t width;
};

// Everything that a run reads and writes.
struct Network {
  Entrance entrance;
  std::vector<TransformerBlock> blocks;
  Rotation rotation;
  Exit exit;
};

// Some of a batch's sequences.
struct Share {
  int64_t first;
  Sizes sizes;
};

// The rows of a share's text [batch, length, width] that a panel's lanes stand for; `other` behind the end.
template <typename Number>
std::array<Number *, kColumns> TextRows(const Share &share, int64_t panel, Number *text, int64_t width, Number *other) {
  const int64_t before = share.first * share.sizes.length(), tokens = share.sizes.Text().tokens();
  std::array<Number *, kColumns> rows;
  for (int64_t lane = 0; lane < kColumns; lane++) {
    const int64_t token = panel * kColumns + lane;
    rows[lane] = token < tokens ? text + (before + token) * width : other;
  }
  return rows;
}

// Calls body(first panel, sizes of some panels of text from it on), a few panels of `channels` channels at a time.
template <typename Body>
void EachPassing(const Sizes &sizes, int64_t channels, const Body &body) {
  const int64_t together = std::max<int64_t>(1, kPassing / (channels * kColumns));
  const Sizes text = sizes.Text();
  for (int64_t first = 0; first < text.panels(); first += together) {
    Sizes part = text;
    part.batch = 1;
    part.positions = std::min(together * kColumns, text.tokens() - first * kColumns);
    body(first, part);
  }
}

// stream ← latents and control tokens
void Enter(const Entrance &entrance, const Share &share, float *stream) {
  const Sizes &sizes = share.sizes;
  const int64_t width = entrance.width, hidden = sizes.hidden;
  const Buffer none = Zeros(width);
  EachPassing(sizes, entrance.narrow.inputs, [&](int64_t first, const Sizes &part) {
    const Buffer latents = part.Panels(entrance.narrow.inputs), narrow = part.Panels(entrance.narrow.outputs);
    Parallel(part.panels(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; panel++)
        for (size_t half = 0; half < entrance.halves.size(); half++)
          RowsToPanel(TextRows<const float>(share, first + panel, entrance.halves[half], width, none.get()), width,
                      latents.get() + (panel * entrance.narrow.inputs + half * width) * kColumns);
    });
    Apply(entrance.narrow, latents.get(), part, narrow.get());
    Apply(entrance.wide, narrow.get(), part, stream + first * hidden * kColumns);
  });
  for (int64_t sequence = 0; sequence < sizes.batch; sequence++) {
    const float *control = entrance.control + (share.first + sequence) * sizes.prefix * hidden;
    EachRun(sizes, sequence, sizes.length(), sizes.positions, [&](int64_t panel, int64_t lane, int64_t position, int64_t count) {
      TurnRound(control + (position - sizes.length()) * hidden, count, hidden, hidden, stream + panel * hidden * kColumns + lane, kColumns);
    });
  }
}

// Text positions of the stream → where they leave to
void Leave(const Exit &exit, const Share &share, const float *stream) {
  const int64_t hidden = share.sizes.hidden;
  const Buffer other = Allocate(exit.width);
  const auto put = [&](const float *panel, int64_t index) { PanelToRows(panel, exit.width, TextRows(share, index, exit.to, exit.width, other.get())); };
  if (exit.norm == nullptr) {
    for (int64_t panel = 0; panel < share.sizes.Text().panels(); panel++) put(stream + panel * hidden * kColumns, panel);
    return;
  }
  EachPassing(share.sizes, exit.width + hidden, [&](int64_t first, const Sizes &part) {
    const Buffer normed = part.Panels(hidden), left = part.Panels(exit.width);
    Normalise(stream + first * hidden * kColumns, hidden, exit.norm, part.panels(), normed.get());
    Apply(exit.layer, normed.get(), part, left.get());
    for (int64_t panel = 0; panel < part.panels(); panel++) put(left.get() + panel * exit.width * kColumns, first + panel);
  });
}

void RunShare(const Network &network, const Share &share) {
  const Sizes &sizes = share.sizes;
  const Buffer stream = sizes.Panels(sizes.hidden);
  Enter(network.entrance, share, stream.get());
  Workspace work(sizes);
  const Sizes text = sizes.Text();
  for (const TransformerBlock &block : network.blocks)
    RunBlock(block, sizes, &block == &network.blocks.back() ? text : sizes, network.rotation, stream.get(), work);
  Leave(network.exit, share, stream.get());
}

// Each thread takes sequences of its own through the network and waits for nobody; those left over are taken by all together, and
// so are all where a share would be too small to prepare weights for.
void RunShares(const Network &network, const Sizes &sizes) {
  const int64_t share = std::max<int64_t>(1, std::min(sizes.batch / Threads(), Ceiling(kShare, sizes.positions)));
  const int64_t together = share * sizes.positions < kLeastShare ? sizes.batch : share;
  EachApart(Ceiling(sizes.batch, together), [&](int64_t index) {
    Share share = {index * together, sizes};
    share.sizes.batch = std::min(together, sizes.batch - share.first);
    RunShare(network, share);
  });
}

// Takes inputs one after the other.
class Inputs {
 public:
  explicit Inputs(Run &run) : run_(run) {}

  // The next one, of `size` numbers.
  const float *Take(int64_t size, const char *problem) {
    Run::Require(run_.Size(next_) == size, problem);
    return run_.Input(next_++);
  }

  Layer TakeLayer(int64_t inputs, int64_t outputs, const char *problem) {
    const float *weight = Take(inputs * outputs, problem);
    return {weight, Take(outputs, problem), inputs, outputs};
  }

  // Length of an axis of the next one.
  int64_t Axis(int axis) { return run_.Axis(next_, axis); }

 private:
  Run &run_;
  int next_ = 0;
};

// Weights of a block, which of them is the gate's, and those of the end.
constexpr int kBlockWeights = 12, kGate = 8, kExitWeights = 3;

TransformerBlock TakeBlock(Inputs &inputs, const Sizes &sizes) {
  const char *problem = "a weight has another size than its block";
  TransformerBlock block;
  block.norm1 = inputs.Take(sizes.hidden, problem);
  block.product = inputs.TakeLayer(sizes.hidden, 3 * sizes.hidden, problem);
  block.queryNorm = inputs.Take(sizes.headSize, problem);
  block.keyNorm = inputs.Take(sizes.headSize, problem);
  block.projection = inputs.TakeLayer(sizes.hidden, sizes.hidden, problem);
  block.norm2 = inputs.Take(sizes.hidden, problem);
  block.gate = inputs.TakeLayer(sizes.hidden, 2 * sizes.inner, problem);
  block.last = inputs.TakeLayer(sizes.inner, sizes.hidden, problem);
  return block;
}

// to [headSize, stride] ← table [positions, headSize] turned round, the positions of text first
Buffer TurnedRound(const float *table, const Sizes &sizes, int64_t stride) {
  Buffer turned = Zeros(sizes.headSize * stride);
  TurnRound(table + sizes.prefix * sizes.headSize, sizes.length(), sizes.headSize, sizes.headSize, turned.get(), stride);
  TurnRound(table, sizes.prefix, sizes.headSize, sizes.headSize, turned.get() + sizes.length(), stride);
  return turned;
}

// The sizes that control tokens and rotations say.
Sizes SizesOf(Run &run) {
  Sizes sizes = {};
  sizes.batch = run.Axis(0, 0);
  sizes.hidden = run.Axis(0, -1);
  sizes.positions = run.Axis(1, 0);
  sizes.headSize = run.Axis(1, -1);
  Run::Require(sizes.headSize > 0 && sizes.headSize % 2 == 0 && sizes.hidden > 0 && sizes.hidden % sizes.headSize == 0, "the width does not split into heads");
  sizes.prefix = run.Axis(0, 1);
  Run::Require(sizes.batch > 0 && sizes.prefix < sizes.positions, "there are no fewer control tokens than positions");
  sizes.heads = sizes.hidden / sizes.headSize;
  return sizes;
}

constexpr int kNarrow = 3, kLatents = 7;

// Control tokens [B, P, hidden], cos, sin [N, d], two layers, halves of latents [B, N − P, D], and for each block its weights
// → the stream [B, N − P, hidden], or, with a norm and a layer at the end, what they make of it [B, N − P, outputs]
void Trunk(Run &run) {
  Sizes sizes = SizesOf(run);
  const int64_t length = sizes.length(), width = run.Axis(kLatents, -1), inputs = run.Axis(kNarrow, -1), halves = inputs / width;
  Run::Require(halves > 0 && inputs % width == 0, "the latents do not fit the first layer");
  const int weights = run.Inputs() - kLatents - static_cast<int>(halves), blocks = weights / kBlockWeights, exits = weights % kBlockWeights;
  Run::Require(blocks > 0 && (exits == 0 || exits == kExitWeights), "a block takes twelve weights, the end none or three");
  sizes.inner = run.Axis(kLatents + static_cast<int>(halves) + kGate, 0) / 2;

  Inputs next(run);
  Network network;
  network.entrance.control = next.Take(sizes.batch * sizes.prefix * sizes.hidden, "the control tokens have another size");
  const int64_t stride = Ceiling(sizes.positions, kColumns) * kColumns, table = sizes.positions * sizes.headSize;
  const char *rotation = "the tables of rotations differ in size", *layer = "a layer of latents has another size";
  network.rotation.stride = stride;
  network.rotation.cos = TurnedRound(next.Take(table, rotation), sizes, stride);
  network.rotation.sin = TurnedRound(next.Take(table, rotation), sizes, stride);
  const int64_t bottleneck = next.Axis(0);
  network.entrance.narrow = next.TakeLayer(inputs, bottleneck, layer);
  network.entrance.wide = next.TakeLayer(bottleneck, sizes.hidden, layer);
  network.entrance.width = width;
  for (int64_t half = 0; half < halves; half++) network.entrance.halves.push_back(next.Take(sizes.batch * length * width, "the halves of the latents differ in size"));
  for (int block = 0; block < blocks; block++) network.blocks.push_back(TakeBlock(next, sizes));
  network.exit = {nullptr, {}, nullptr, sizes.hidden};
  if (exits > 0) {
    network.exit.norm = next.Take(sizes.hidden, "the last norm has another size");
    network.exit.width = next.Axis(0);
    network.exit.layer = next.TakeLayer(sizes.hidden, network.exit.width, "the last layer has another size");
  }
  network.exit.to = run.Output(0, {sizes.batch, length, network.exit.width});
  RunShares(network, sizes);
}

}  // namespace

void RegisterTrunk() {
  Register<Trunk>("ElfTrunk",
                  {"control: float", "cos: float", "sin: float", "narrow: float", "narrow_bias: float", "wide: float", "wide_bias: float",
                   "latents: halves * float", "blocks: weights * float", "exit: exits * float"},
                  {"y: float"}, {"halves: int >= 1", "weights: int >= 1", "exits: int >= 0"});
}

}  // namespace elf
