// Attention in training: what the queries of each head attend to, and the gradients of queries, keys and values.
//
// Notable: kColumns queries are taken at a time. Their weights stay in the cache and are computed again for the gradients, so no
// array of all queries and all keys is ever held.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "aligned.h"
#include "kernels.h"
#include "panel_rows.h"
#include "pool.h"
#include "weigh.h"

namespace elf {
namespace {

struct Sizes {
  int64_t batch, heads, positions, channels;

  // Channels in whole vectors.
  int64_t wide() const { return Ceiling(channels, kLanes) * kLanes; }
  // Numbers between two turned rows: not a multiple of a page.
  int64_t turned() const { return positions + kLanes; }
  int64_t head() const { return positions * channels; }
};

// Arrays that tiles reach beyond: zeros lie there.
AlignedBuffer RowsOfKeys(const Sizes &sizes, int64_t width) { return Zeros((sizes.positions + kRows) * width); }
AlignedBuffer RowsOfChannels(const Sizes &sizes, int64_t width) { return Zeros((sizes.channels + kRows) * width); }

// Some queries: kColumns, or those that are left.
struct Queries {
  int64_t first, count;

  // Their rows of x, `apart` numbers from one to the next; `other` for lanes without one.
  template <typename Number>
  std::array<Number *, kColumns> Rows(Number *x, int64_t apart, Number *other) const {
    std::array<Number *, kColumns> rows;
    for (int64_t lane = 0; lane < kColumns; lane++) rows[lane] = lane < count ? x + (first + lane) * apart : other;
    return rows;
  }
};

template <typename Body>
void EachQueries(const Sizes &sizes, const Body &body) {
  for (int64_t first = 0; first < sizes.positions; first += kColumns) body(Queries{first, std::min<int64_t>(kColumns, sizes.positions - first)});
}

// to [rows, kColumns] ← left [rows, terms] · panel [terms, kColumns]
void MultiplyPanel(const float *left, int64_t rows, int64_t apart, const float *panel, int64_t terms, float *to) {
  for (int64_t row = 0; row < rows; row += kRows) Multiply(left + row * apart, apart, 1, panel, kColumns, terms, *reinterpret_cast<Tile *>(to + row * kColumns));
}

template <int vectors>
__attribute__((noinline)) void AddTile(const float *left, const float *right, int64_t width, float *to) {
  Sums<vectors> sums;
  sums.Add(left, kColumns, 1, right, width, kColumns, kNothing);
  sums.AddTo(to, width);
}

// to [rows, width] ← to + panel [rows, kColumns] · right [kColumns, width]
void AddPanel(const float *panel, int64_t rows, const float *right, int64_t width, float *to) {
  for (int64_t column = 0; column < width; column += kColumns)
    for (int64_t row = 0; row < rows; row += kRows) {
      const float *left = panel + row * kColumns;
      float *sums = to + row * width + column;
      WithVectors((width - column) / kLanes, [&](auto vectors) { AddTile<vectors>(left, right + column, width, sums); });
    }
}

// One head's queries, keys and values [positions, channels].
struct Given {
  const float *query, *key, *value;
};

// What softmax subtracts and multiplies with: [positions] each.
struct Softmax {
  float *greatest, *share;
};

class ForwardHead {
 public:
  explicit ForwardHead(const Sizes &sizes)
      : sizes_(sizes), key_(RowsOfKeys(sizes, sizes.channels)), value_(RowsOfChannels(sizes, sizes.turned())), query_(Allocate(sizes.channels * kColumns)),
        weights_(RowsOfKeys(sizes, kColumns)), out_(RowsOfChannels(sizes, kColumns)), other_(Zeros(sizes.channels)) {}

  // out [positions, apart] ← what the head attends to
  void Run(const Given &given, float *out, int64_t apart, const Softmax &softmax) {
    std::copy_n(given.key, sizes_.head(), key_.get());
    TurnRound(given.value, sizes_.positions, sizes_.channels, sizes_.channels, value_.get(), sizes_.turned());
    EachQueries(sizes_, [&](const Queries &queries) {
      float greatest[kColumns], share[kColumns];
      RowsToPanel(queries.Rows<const float>(given.query, sizes_.channels, other_.get()), sizes_.channels, query_.get());
      Weigh<kVectors>({key_.get(), sizes_.channels, 1, sizes_.positions, sizes_.channels}, query_.get(), kColumns, weights_.get(), greatest, share);
      MultiplyPanel(value_.get(), sizes_.channels, sizes_.turned(), weights_.get(), sizes_.positions, out_.get());
      for (int64_t channel = 0; channel < sizes_.channels; channel++)
        for (int lane = 0; lane < kColumns; lane++) out_[channel * kColumns + lane] *= share[lane];
      PanelToRows(out_.get(), sizes_.channels, queries.Rows(out, apart, written_.get()));
      std::copy_n(greatest, queries.count, softmax.greatest + queries.first);
      std::copy_n(share, queries.count, softmax.share + queries.first);
    });
  }

 private:
  const Sizes &sizes_;
  AlignedBuffer key_, value_, query_, weights_, out_, other_, written_ = Allocate(sizes_.channels);
};

// Gradients of one head's queries, keys and values [positions, channels].
struct Gradients {
  float *query, *key, *value;
};

class BackwardHead {
 public:
  explicit BackwardHead(const Sizes &sizes)
      : sizes_(sizes), key_(RowsOfKeys(sizes, sizes.channels)), keyTurned_(RowsOfChannels(sizes, sizes.turned())), value_(RowsOfKeys(sizes, sizes.channels)),
        query_(Allocate(sizes.channels * kColumns)), upstream_(Allocate(sizes.channels * kColumns)), queryRows_(Zeros(kColumns * sizes.wide())),
        upstreamRows_(Zeros(kColumns * sizes.wide())), weights_(RowsOfKeys(sizes, kColumns)), slopes_(RowsOfKeys(sizes, kColumns)),
        dkey_(RowsOfKeys(sizes, sizes.wide())), dvalue_(RowsOfKeys(sizes, sizes.wide())), dquery_(RowsOfChannels(sizes, kColumns)), other_(Zeros(sizes.channels)) {}

  // `upstream` [positions, apart] is the gradient of what the head attends to.
  void Run(const Given &given, const float *upstream, int64_t apart, const Softmax &softmax, const Gradients &to) {
    const int64_t positions = sizes_.positions, channels = sizes_.channels, wide = sizes_.wide();
    std::copy_n(given.key, sizes_.head(), key_.get());
    std::copy_n(given.value, sizes_.head(), value_.get());
    TurnRound(given.key, positions, channels, channels, keyTurned_.get(), sizes_.turned());
    for (float *sums : {dkey_.get(), dvalue_.get()}) std::fill_n(sums, positions * wide, 0.0f);
    EachQueries(sizes_, [&](const Queries &queries) {
      Take(queries.Rows<const float>(given.query, channels, other_.get()), query_.get(), queryRows_.get());
      Take(queries.Rows<const float>(upstream, apart, other_.get()), upstream_.get(), upstreamRows_.get());
      Score<kVectors>({key_.get(), channels, 1, positions, channels}, query_.get(), kColumns, weights_.get());
      MultiplyPanel(value_.get(), positions, channels, upstream_.get(), channels, slopes_.get());
      Slope(queries, softmax);
      AddPanel(weights_.get(), positions, upstreamRows_.get(), wide, dvalue_.get());
      AddPanel(slopes_.get(), positions, queryRows_.get(), wide, dkey_.get());
      MultiplyPanel(keyTurned_.get(), channels, sizes_.turned(), slopes_.get(), positions, dquery_.get());
      PanelToRows(dquery_.get(), channels, queries.Rows(to.query, channels, written_.get()));
    });
    for (int64_t position = 0; position < positions; position++) {
      std::copy_n(dkey_.get() + position * wide, channels, to.key + position * channels);
      std::copy_n(dvalue_.get() + position * wide, channels, to.value + position * channels);
    }
  }

 private:
  // The rows as a panel and as rows of whole vectors.
  void Take(const ReadRows &from, float *panel, float *rows) const {
    RowsToPanel(from, sizes_.channels, panel);
    for (int64_t lane = 0; lane < kColumns; lane++) std::copy_n(from[lane], sizes_.channels, rows + lane * sizes_.wide());
  }

  // From scores to weights, and from their gradients to those of the scores: weight · (gradient − Σ weight · gradient).
  void Slope(const Queries &queries, const Softmax &softmax) {
    float greatest[kColumns] = {}, share[kColumns] = {}, along[kColumns] = {};
    std::copy_n(softmax.greatest + queries.first, queries.count, greatest);
    std::copy_n(softmax.share + queries.first, queries.count, share);
    for (int64_t key = 0; key < sizes_.positions; key++) {
      float *weight = weights_.get() + key * kColumns, *slope = slopes_.get() + key * kColumns;
#pragma omp simd
      for (int lane = 0; lane < kColumns; lane++) {
        weight[lane] = Exp(weight[lane] - greatest[lane]) * share[lane];
        along[lane] += weight[lane] * slope[lane];
      }
    }
    for (int64_t key = 0; key < sizes_.positions; key++) {
      float *weight = weights_.get() + key * kColumns, *slope = slopes_.get() + key * kColumns;
      for (int lane = 0; lane < kColumns; lane++) slope[lane] = weight[lane] * (slope[lane] - along[lane]);
    }
  }

  const Sizes &sizes_;
  AlignedBuffer key_, keyTurned_, value_, query_, upstream_, queryRows_, upstreamRows_, weights_, slopes_, dkey_, dvalue_, dquery_, other_, written_ = Allocate(sizes_.channels);
};

Sizes SizesOf(Run &run, int query) {
  const std::vector<int64_t> shape = run.Shape(query);
  Run::Require(shape.size() == 4 && run.Size(query) > 0, "queries are [batch, heads, positions, channels]");
  for (int other : {query + 1, query + 2}) Run::Require(run.Shape(other) == shape, "queries, keys and values differ in shape");
  return {shape[0], shape[1], shape[2], shape[3]};
}

// body(head of this piece's own, number of the head, where it begins in [B·N, H·d]) for all heads.
template <typename Head, typename Body>
void EachHead(const Sizes &sizes, const Body &body) {
  Parallel(sizes.batch * sizes.heads, 1, [&](int64_t begin, int64_t end) {
    Head head(sizes);
    for (int64_t i = begin; i < end; i++) body(head, i, (i / sizes.heads * sizes.positions * sizes.heads + i % sizes.heads) * sizes.channels);
  });
}

// query, key, value [B, H, N, d] → attended [B·N, H·d], softmax [2, B·H, N]
void Forward(Run &run) {
  const Sizes sizes = SizesOf(run, 0);
  const int64_t count = sizes.batch * sizes.heads, apart = sizes.heads * sizes.channels;
  const float *query = run.Input(0), *key = run.Input(1), *value = run.Input(2);
  float *out = run.Output(0, {sizes.batch * sizes.positions, apart}), *softmax = run.Output(1, {2, count, sizes.positions});
  EachHead<ForwardHead>(sizes, [&](ForwardHead &head, int64_t i, int64_t at) {
    const int64_t from = i * sizes.head();
    head.Run({query + from, key + from, value + from}, out + at, apart, {softmax + i * sizes.positions, softmax + (count + i) * sizes.positions});
  });
}

// dy [B·N, H·d], query, key, value [B, H, N, d], softmax → dquery, dkey, dvalue
void Backward(Run &run) {
  const Sizes sizes = SizesOf(run, 1);
  const int64_t count = sizes.batch * sizes.heads, apart = sizes.heads * sizes.channels;
  Run::Require(run.Size(0) == run.Size(1), "the gradient has another size than the queries");
  Run::Require(run.Size(4) == 2 * count * sizes.positions, "the softmax has another size");
  const float *upstream = run.Input(0), *query = run.Input(1), *key = run.Input(2), *value = run.Input(3);
  float *softmax = run.Input(4), *dquery = run.OutputLike(0, 1), *dkey = run.OutputLike(1, 1), *dvalue = run.OutputLike(2, 1);
  EachHead<BackwardHead>(sizes, [&](BackwardHead &head, int64_t i, int64_t at) {
    const int64_t from = i * sizes.head();
    head.Run({query + from, key + from, value + from}, upstream + at, apart, {softmax + i * sizes.positions, softmax + (count + i) * sizes.positions},
             {dquery + from, dkey + from, dvalue + from});
  });
}

}  // namespace

void RegisterAttention() {
  Register<Forward>("ElfAttention", {"query: float", "key: float", "value: float"}, {"attended: float", "softmax: float"});
  Register<Backward>("ElfAttentionGradient", {"dy: float", "query: float", "key: float", "value: float", "softmax: float"},
                     {"dquery: float", "dkey: float", "dvalue: float"});
}

}  // namespace elf
