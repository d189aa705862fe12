// Newton–Schulz orthogonalisation, as in NewtonSchulz.ts: x → Q·x with Q a polynomial of the Gram matrix G = x·xᵀ.
//
// Notable: all matrices stay in blocks between products, so nothing is packed but x itself. Those of the iteration on G are
// symmetric: blocks on and above the diagonal are computed, and each is stored twice.
#include "newton_schulz.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "block_sums.h"
#include "kernels.h"
#include "pool.h"

namespace elf {
namespace {

// Terms of a Gram matrix that are summed at once: what is packed of them stays in the second- and third-level cache.
constexpr int64_t kDepth = 512;
// Panels of one factor that stay in the second-level cache while those of the other pass by.
constexpr int64_t kPanels = 8;

constexpr float kEpsilon = 1e-8f;

// identity·I + matrix·M + product·(the product)
struct Combination {
  float identity, matrix, product;
};
constexpr Combination kAlone = {0, 0, 1}, kStep = {3.4445f, -4.775f, 2.0315f};

// A matrix as it is stored, seen with its shorter side as its rows.
struct Matrix {
  const float *data;
  int64_t rows, columns;
  bool tall;

  Matrix(const float *x, int64_t m, int64_t n) : data(x), rows(std::min(m, n)), columns(std::max(m, n)), tall(m > n) {}

  // to ← `panels` panels of columns, of which `first` is the first
  void PackColumns(int64_t first, int64_t panels, const Blocks &to) const { Pack({tall ? 1 : columns, tall ? rows : 1}, first, columns, panels, 0, rows, to, 0); }

  // Panels [first, last) of to ← rows, of columns [begin, begin + to.terms()): the matrix turned round.
  void PackRows(int64_t first, int64_t last, int64_t begin, const Blocks &to) const {
    Pack({tall ? rows : 1, tall ? 1 : columns}, first, rows, last - first, begin, columns, to, first);
  }

 private:
  // How far one term lies from the next, and one lane from the next.
  struct Distance {
    int64_t term, lane;
  };

  // Zeros beyond the last term and lane. Where lanes are neighbours it goes term by term: what lies side by side is read at once.
  void Pack(Distance distance, int64_t first, int64_t width, int64_t panels, int64_t begin, int64_t terms, const Blocks &to, int64_t at) const {
    const auto pack = [&](int64_t term, int64_t panel) {
      float *out = to.Panel(at + panel) + term * kSide;
      const float *from = data + (begin + term) * distance.term + (first + panel) * kSide * distance.lane;
      const int64_t lanes = begin + term < terms ? std::min<int64_t>(kSide, width - (first + panel) * kSide) : 0;
      if (lanes == kSide && distance.lane == 1) std::copy_n(from, kSide, out);
      else
        for (int64_t lane = 0; lane < kSide; lane++) out[lane] = lane < lanes ? from[lane * distance.lane] : 0;
    };
    if (distance.lane == 1)
      for (int64_t term = 0; term < to.terms(); term++)
        for (int64_t panel = 0; panel < panels; panel++) pack(term, panel);
    else
      for (int64_t panel = 0; panel < panels; panel++)
        for (int64_t term = 0; term < to.terms(); term++) pack(term, panel);
  }
};

// Symmetric matrices of one size.
class Symmetric {
 public:
  explicit Symmetric(int64_t size) : size_(size) {
    const int64_t panels = Ceiling(size, kSide);
    for (int64_t begin = 0; begin < panels; begin += kPanels)
      for (int64_t column = begin; column < panels; column++)
        for (int64_t row = begin; row <= std::min(column, begin + kPanels - 1); row++) blocks_.emplace_back(row, column);
  }

  Blocks New() const { return Blocks(size_, size_); }

  // out ← a combination of leftᵀ·right, which is symmetric
  void Product(const Blocks &left, const Blocks &right, Blocks &out) const { Compute(left, right, kAlone, nullptr, true, true, out); }
  // out ← step(x, x²)
  void Step(const Blocks &x, Blocks &out) const { Compute(x, x, kStep, &x, true, true, out); }

  // out ← factor · x·xᵀ
  void Gram(const Matrix &x, float factor, Blocks &out) const {
    const int64_t depth = std::min(kDepth, x.columns);
    const Blocks packed(depth, size_);
    for (int64_t begin = 0; begin < x.columns; begin += depth) {
      Parallel(packed.columns(), 1, [&](int64_t first, int64_t last) {
        x.PackRows(first, last, begin, packed);
      });
      Compute(packed, packed, {0, 0, factor}, nullptr, begin == 0, begin + depth >= x.columns, out);
    }
  }

  // out ← xᵀ·x
  void Gram(const Blocks &x, Blocks &out) const { Product(x, x, out); }

 private:
  // Adds to `out` unless it is the first part of a sum; with the last part also the combination and what mirrors it.
  void Compute(const Blocks &left, const Blocks &right, Combination c, const Blocks *matrix, bool first, bool last, Blocks &out) const {
    Parallel(blocks_.size(), 4, [&](int64_t begin, int64_t end) {
      Block block;
      for (int64_t index = begin; index < end; index++) {
        const auto [row, column] = blocks_[index];
        right.Product(left, row, column, block);
        Store(block, c, matrix == nullptr ? nullptr : matrix->At(row, column), row, column, first, last, out);
      }
    });
  }

  static void Store(Block &block, Combination c, const float *matrix, int64_t row, int64_t column, bool first, bool last, Blocks &out) {
    float *value = block.value[0], *to = out.At(row, column);
    if (!first)
      for (int64_t i = 0; i < kBlockSize; i++) value[i] += to[i];
    if (!last) return void(std::copy_n(value, kBlockSize, to));
    if (matrix != nullptr)
      for (int64_t i = 0; i < kBlockSize; i++) value[i] = c.product * value[i] + c.matrix * matrix[i];
    else
      for (int64_t i = 0; i < kBlockSize; i++) value[i] *= c.product;
    if (row == column) {
      for (int i = 0; i < kSide; i++) block.value[i][i] += c.identity;
      for (int i = 0; i < kSide; i++)
        for (int j = 0; j < i; j++) block.value[i][j] = block.value[j][i];
    } else {
      Turn(block, out.At(column, row));
    }
    std::copy_n(value, kBlockSize, to);
  }

  int64_t size_;
  std::vector<std::pair<int32_t, int32_t>> blocks_;
};

void Scale(Blocks &x, float factor) {
  Parallel(x.size(), 1 << 16, [&](int64_t begin, int64_t end) {
    for (float *value = x.Panel(0) + begin, *stop = x.Panel(0) + end; value < stop; value++) *value *= factor;
  });
}

// Gives away a block of the result; `row` and `column` count blocks of the matrix with its shorter side as rows.
void Give(const Matrix &x, int64_t row, int64_t column, const Block &block, const TakeBlock &take) {
  const int64_t top = row * kSide, left = column * kSide;
  const int64_t rows = std::min<int64_t>(kSide, x.rows - top), columns = std::min<int64_t>(kSide, x.columns - left);
  if (!x.tall) return take(top, left, rows, columns, block);
  Block turned;
  Turn(block, turned.value[0]);
  take(left, top, columns, rows, turned);
}

// Q with Q·x the last iterate.
Blocks IterateOnGram(const Matrix &x, float scale, int64_t steps) {
  const Symmetric symmetric(x.rows);
  Blocks power = symmetric.New(), factor = symmetric.New(), between = symmetric.New(), q = symmetric.New();
  symmetric.Gram(x, scale * scale, power);
  symmetric.Step(power, factor);
  std::copy_n(factor.Panel(0), factor.size(), q.Panel(0));
  Scale(q, scale);
  for (int64_t step = 1; step < steps; step++) {
    symmetric.Product(factor, power, between);
    symmetric.Product(factor, between, power);
    symmetric.Step(power, factor);
    symmetric.Product(factor, q, between);
    std::swap(q, between);
  }
  return q;
}

void OnGram(const Matrix &x, float scale, int64_t steps, const TakeBlock &take) {
  const Blocks q = IterateOnGram(x, scale, steps);
  Parallel(Ceiling(x.columns, kSide), 1, [&](int64_t begin, int64_t end) {
    const Blocks packed(x.rows, std::min(kPanels, end - begin) * kSide);
    Block block;
    for (int64_t first = begin; first < end; first += kPanels) {
      const int64_t count = std::min(kPanels, end - first);
      x.PackColumns(first, count, packed);
      for (int64_t row = 0; row < q.columns(); row++)
        for (int64_t panel = 0; panel < count; panel++) {
          packed.Product(q, row, panel, block);
          Give(x, row, first + panel, block, take);
        }
    }
  });
}

// The iteration on x itself, for matrices that are nearly square.
void Directly(const Matrix &x, float scale, int64_t steps, const TakeBlock &take) {
  const Symmetric symmetric(x.rows);
  Blocks power = symmetric.New(), factor = symmetric.New(), current(x.rows, x.columns), next(x.rows, x.columns), turned(x.columns, x.rows);
  x.PackColumns(0, current.columns(), current);
  x.PackRows(0, turned.columns(), 0, turned);
  Scale(current, scale);
  Scale(turned, scale);
  for (int64_t step = 1; step <= steps; step++) {
    symmetric.Gram(turned, power);
    symmetric.Step(power, factor);
    Parallel(current.columns(), 1, [&](int64_t begin, int64_t end) {
      Block block;
      for (int64_t first = begin; first < end; first += kPanels)
        for (int64_t row = 0; row < current.rows(); row++)
          for (int64_t column = first; column < std::min(end, first + kPanels); column++) {
            current.Product(factor, row, column, block);
            if (step == steps) {
              Give(x, row, column, block, take);
              continue;
            }
            std::copy_n(block.value[0], kBlockSize, next.At(row, column));
            Turn(block, turned.At(column, row));
          }
    });
    std::swap(current, next);
  }
}

// x [n, rows, columns], steps [1] int32 → approximately orthogonal matrices [n, rows, columns]
void Orthogonal(Run &run) {
  const int64_t rows = run.Axis(0, -2), columns = run.Axis(0, -1), size = rows * columns, steps = run.Input<int32_t>(1)[0];
  Run::Require(size > 0 && steps > 0, "there is nothing to make orthogonal, or no step to do it in");
  const float *x = run.Input(0);
  float *y = run.OutputLike(0, 0);
  EachApart(run.Size(0) / size, [&](int64_t which) {
    const float *from = x + which * size;
    float *to = y + which * size;
    NewtonSchulz(from, rows, columns, SumOfSquares(from, size), steps, [&](int64_t row, int64_t column, int64_t height, int64_t width, const Block &block) {
      for (int64_t i = 0; i < height; i++) std::copy_n(block.value[i], width, to + (row + i) * columns + column);
    });
  });
}

}  // namespace

void NewtonSchulz(const float *x, int64_t rows, int64_t columns, double squares, int64_t steps, const TakeBlock &take) {
  const Matrix matrix(x, rows, columns);
  const float scale = 1 / (static_cast<float>(std::sqrt(squares)) + kEpsilon);
  // Where the form on Gram matrices multiplies less.
  if (2 * matrix.columns > 3 * matrix.rows) OnGram(matrix, scale, steps, take);
  else Directly(matrix, scale, steps, take);
}

void RegisterNewtonSchulz() { Register<Orthogonal>("ElfNewtonSchulz", {"x: float", "steps: int32"}, {"y: float"}); }

}  // namespace elf
