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
constexpr float kEpsilon = 1e-8f;

// identity·I + matrix·M + product·(the product)
struct Combination {
  float identity, matrix, product;
};
constexpr Combination kStep = {3.4445f, -4.775f, 2.0315f};

// A matrix as it is stored, seen with its shorter side as its rows.
struct Matrix {
  const float *data;
  int64_t rows, columns;
  bool tall;

  Matrix(const float *x, int64_t m, int64_t n) : data(x), rows(std::min(m, n)), columns(std::max(m, n)), tall(m > n) {}

  // A line each, with the numbers of the other as its terms.
  Lines Rows() const { return {data, tall ? rows : columns, rows, columns, !tall}; }
  Lines Columns() const { return {data, tall ? rows : columns, columns, rows, tall}; }
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

  Blocks New(int roles) const { return Blocks(size_, size_, roles); }

  // out ← factor · leftᵀ·right, which is symmetric
  void Product(const Blocks &left, const Blocks &right, Blocks &out, float factor = 1) const { Compute(left, right, {0, 0, factor}, nullptr, {}, out); }
  // out ← step(x, x²)
  void Step(const Blocks &x, Blocks &out) const { Compute(x, x, kStep, &x, {}, out); }
  // both ← step(x, x²)
  void Step(const Blocks &x, Blocks &out, Blocks &other) const { Compute(x, x, kStep, &x, {}, out, &other); }

  // out ← factor · x·xᵀ
  void Gram(const Matrix &x, float factor, Blocks &out) const {
    const int64_t depth = std::min(kDepth, x.columns);
    const Blocks packed(depth, size_, kLeft | kRight);
    for (int64_t begin = 0; begin < x.columns; begin += depth) {
      Parallel(packed.columns(), 1, [&](int64_t first, int64_t last) {
        packed.Pack(x.Rows().Terms(begin, std::min(depth, x.columns - begin)), first, first, last);
      });
      Compute(packed, packed, {0, 0, factor}, nullptr, {begin == 0, begin + depth >= x.columns}, out);
    }
  }

 private:
  // Which part of a sum it is: added to what `out` has unless it is the first; with the last one come the combination and what mirrors it.
  struct PartOfSum {
    bool first = true, last = true;
  };

  void Compute(const Blocks &left, const Blocks &right, Combination c, const Blocks *matrix, PartOfSum part, Blocks &out, const Blocks *other = nullptr) const {
    Parallel(blocks_.size(), 4, [&](int64_t begin, int64_t end) {
      const Registers registers;
      Block block;
      for (int64_t index = begin; index < end; index++) {
        const auto [row, column] = blocks_[index];
        right.Product(left, row, column, block);
        Store(block, c, matrix == nullptr ? nullptr : matrix->Numbers(row, column), row, column, part, out, other);
      }
    });
  }

  static void Store(Block &block, Combination c, const float *matrix, int64_t row, int64_t column, PartOfSum part, Blocks &out, const Blocks *other) {
    float *value = block.value[0];
    if (!part.first)
      for (int64_t i = 0; i < kBlockSize; i++) value[i] += out.Numbers(row, column)[i];
    if (!part.last) return void(std::copy_n(value, kBlockSize, out.Numbers(row, column)));
    if (matrix != nullptr)
      for (int64_t i = 0; i < kBlockSize; i++) value[i] = c.product * value[i] + c.matrix * matrix[i];
    else
      for (int64_t i = 0; i < kBlockSize; i++) value[i] *= c.product;
    if (row == column) {
      for (int i = 0; i < kSide; i++) block.value[i][i] += c.identity;
      for (int i = 0; i < kSide; i++)
        for (int j = 0; j < i; j++) block.value[i][j] = block.value[j][i];
    } else {
      out.PutTurned(column, row, block);
      if (other != nullptr) other->PutTurned(column, row, block);
    }
    out.Put(row, column, block);
    if (other != nullptr) other->Put(row, column, block);
  }

  int64_t size_;
  std::vector<std::pair<int32_t, int32_t>> blocks_;
};

void Scale(Block &block, float factor) {
  for (float *value = block.value[0], *end = value + kBlockSize; value < end; value++) *value *= factor;
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

// Q with Q·x the last iterate but for its scale, as a left factor.
Blocks IterateOnGram(const Matrix &x, float scale, int64_t steps) {
  const Symmetric symmetric(x.rows);
  Blocks power = symmetric.New(kLeft | kRight | kNumbers), factor = symmetric.New(kLeft), between = symmetric.New(kRight);
  symmetric.Gram(x, scale * scale, power);
  // The first factor is the first Q.
  Blocks q = symmetric.New(steps == 1 ? kLeft : kRight);
  symmetric.Step(power, factor, q);
  for (int64_t step = 1; step < steps; step++) {
    symmetric.Product(factor, power, between);
    symmetric.Product(factor, between, power);
    symmetric.Step(power, factor);
    Blocks next = symmetric.New(step + 1 == steps ? kLeft : kRight);
    symmetric.Product(factor, q, next);
    q = std::move(next);
  }
  return q;
}

void OnGram(const Matrix &x, float scale, int64_t steps, const TakeBlock &take) {
  const Blocks q = IterateOnGram(x, scale, steps);
  Parallel(Ceiling(x.columns, kSide), 1, [&](int64_t begin, int64_t end) {
    const Registers registers;
    const Blocks packed(x.rows, std::min(kPanels, end - begin) * kSide, kRight);
    Block block;
    for (int64_t first = begin; first < end; first += kPanels) {
      const int64_t count = std::min(kPanels, end - first);
      packed.Pack(x.Columns(), first, 0, count);
      for (int64_t row = 0; row < q.columns(); row++)
        for (int64_t panel = 0; panel < count; panel++) {
          packed.Product(q, row, panel, block);
          Scale(block, scale);
          Give(x, row, first + panel, block, take);
        }
    }
  });
}

// The iteration on x itself, for matrices that are nearly square.
void Directly(const Matrix &x, float scale, int64_t steps, const TakeBlock &take) {
  const Symmetric symmetric(x.rows);
  Blocks power = symmetric.New(kLeft | kRight | kNumbers), factor = symmetric.New(kLeft);
  Blocks current(x.rows, x.columns, kRight), next(x.rows, x.columns, kRight), turned(x.columns, x.rows, kLeft | kRight);
  current.Pack(x.Columns(), 0, 0, current.columns());
  turned.Pack(x.Rows(), 0, 0, turned.columns());
  for (int64_t step = 1; step <= steps; step++) {
    const float now = step == 1 ? scale : 1;
    symmetric.Product(turned, turned, power, now * now);
    symmetric.Step(power, factor);
    Parallel(current.columns(), 1, [&](int64_t begin, int64_t end) {
      const Registers registers;
      Block block;
      for (int64_t first = begin; first < end; first += kPanels)
        for (int64_t row = 0; row < current.rows(); row++)
          for (int64_t column = first; column < std::min(end, first + kPanels); column++) {
            current.Product(factor, row, column, block);
            if (step == 1) Scale(block, scale);
            if (step == steps) {
              Give(x, row, column, block, take);
              continue;
            }
            next.Put(row, column, block);
            turned.PutTurned(column, row, block);
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
