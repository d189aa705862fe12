// Newton–Schulz orthogonalisation, as in NewtonSchulz.ts: x → Q·x with Q a polynomial of the Gram matrix G = x·xᵀ.
//
// Notable: all matrices stay in blocks between products, so nothing is packed but x itself. Those of the iteration on G are
// symmetric: blocks on and above the diagonal are computed, and each is stored twice.
#include "newton_schulz.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
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

// What a step multiplies the matrix by, with x its Gram matrix: f(x) = a + b·x + c·x².
constexpr float kA = 3.4445f, kB = -4.775f, kC = 2.0315f;

// What two steps multiply it by, f(x)·f(x·f(x)²): a polynomial of degree 12 that takes four products instead of five. With
// u = x/kMiddle − 1:
// y₁ = u·u, y₂ = y₁·(y₁ + p₀u), y₃ = (y₂ + p₁y₁ + p₂u)·(y₂ + p₃y₁ + p₄u), y₄ = (y₃ + p₅y₂ + p₆y₁ + p₇u)·(y₂ + p₈y₁ + p₉u);
// its value is c₀ + c₁u + c₂y₁ + c₃y₂ + c₄y₃ + c₅y₄. The two agree to 3e-13 on [0, 1.5], where all eigenvalues stay; of the
// solutions that least squares found, this is the one whose terms cancel each other least (their sizes add up to 7 times the value).
constexpr float kMiddle = 0.75f;
constexpr float kP[] = {-1.22328876f, 3.39551336f, -0.687973503f, -0.472345282f, 1.96341053f, 2.7819767f, -0.0662804396f, -0.100973199f, -0.491607064f, 0.808365262f};
constexpr float kTwice[] = {0.996530388f, 0.751750671f, -0.546046834f, 0.775321635f, -0.305942165f, 2.22656881f};

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

  // A multiple of a matrix that is there already.
  struct Term {
    float factor;
    const Blocks *matrix;
  };

  // What is made of a product: identity·I + product·(the product) + the terms. Those with a matrix come first.
  struct Output {
    Blocks *to;
    float identity, product;
    Term terms[3];
  };

  // Each output ← what it makes of leftᵀ·right, which is symmetric. A later one may overwrite a term.
  void Product(const Blocks &left, const Blocks &right, std::initializer_list<Output> outputs) const { Compute(left, right, outputs, true, true); }
  void Product(const Blocks &left, const Blocks &right, Blocks &out) const { Product(left, right, {{&out, 0, 1, {}}}); }

  // out ← f(x)
  void Step(const Blocks &x, Blocks &out) const { Product(x, x, {{&out, kA, kC, {{kB, &x}}}}); }

  // out ← factor · x·xᵀ
  void Gram(const Matrix &x, float factor, Blocks &out) const {
    const int64_t depth = std::min(kDepth, x.columns);
    const Blocks packed(depth, size_);
    for (int64_t begin = 0; begin < x.columns; begin += depth) {
      Parallel(packed.columns(), 1, [&](int64_t first, int64_t last) { x.PackRows(first, last, begin, packed); });
      Compute(packed, packed, {{&out, 0, factor, {}}}, begin == 0, begin + depth >= x.columns);
    }
  }

 private:
  // Adds to the one output unless it is the first part of a sum; only the last part makes something of it.
  void Compute(const Blocks &left, const Blocks &right, std::initializer_list<Output> outputs, bool first, bool last) const {
    Parallel(blocks_.size(), 4, [&](int64_t begin, int64_t end) {
      Block block;
      for (int64_t index = begin; index < end; index++) {
        const auto [row, column] = blocks_[index];
        right.Product(left, row, column, block);
        if (!first) Add(1, outputs.begin()->to->At(row, column), block);
        if (last)
          for (const Output &output : outputs) Store(block, output, row, column);
        else std::copy_n(block.all(), kBlockSize, outputs.begin()->to->At(row, column));
      }
    });
  }

  static void Add(float factor, const float *from, Block &block) {
    for (int64_t i = 0; i < kBlockSize; i++) block.all()[i] += factor * from[i];
  }

  static void Store(const Block &product, const Output &output, int64_t row, int64_t column) {
    Block block;
    for (int64_t i = 0; i < kBlockSize; i++) block.all()[i] = output.product * product.all()[i];
    for (const Term &term : output.terms)
      if (term.matrix != nullptr) Add(term.factor, term.matrix->At(row, column), block);
    if (row == column) {
      for (int i = 0; i < kSide; i++) block.value[i][i] += output.identity;
      for (int i = 0; i < kSide; i++)
        for (int j = 0; j < i; j++) block.value[i][j] = block.value[j][i];
    } else {
      Turn(block, output.to->At(column, row));
    }
    std::copy_n(block.all(), kBlockSize, output.to->At(row, column));
  }

  int64_t size_;
  std::vector<std::pair<int32_t, int32_t>> blocks_;
};

void Scale(const Blocks &x, float factor) {
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
  Turn(block, turned.all());
  take(left, top, columns, rows, turned);
}

// The iteration on the Gram matrix: steps from x on.
class GramIteration {
 public:
  GramIteration(const Matrix &x, float scale) : symmetric_(x.rows), gram_(symmetric_.New()), q_(symmetric_.New()), factor_(symmetric_.New()), between_(symmetric_.New()) {
    symmetric_.Gram(x, scale * scale, gram_);
  }

  // Q with Q·x the last iterate, but for the factor of the first.
  Blocks Run(int64_t steps) {
    const bool odd = steps % 2 == 1;
    if (odd) {
      symmetric_.Step(gram_, factor_);
      Apply(steps == 1);
    }
    if (steps == 1) return std::move(q_);
    Blocks u = symmetric_.New(), y1 = symmetric_.New(), y2 = symmetric_.New(), other = symmetric_.New(), spare = symmetric_.New();
    for (int64_t left = steps - odd; left > 0; left -= 2) {
      TwoSteps(u, y1, y2, other, spare);
      Apply(left == 2);
    }
    return std::move(q_);
  }

 private:
  // q ← factor·q; and the next Gram matrix, unless this was the last step.
  void Apply(bool last) {
    if (first_) {
      std::copy_n(factor_.Panel(0), factor_.size(), q_.Panel(0));
    } else {
      symmetric_.Product(factor_, q_, between_);
      std::swap(q_, between_);
    }
    first_ = false;
    if (last) return;
    symmetric_.Product(factor_, gram_, between_);
    symmetric_.Product(factor_, between_, gram_);
  }

  // factor ← f(x)·f(x·f(x)²) of the Gram matrix x. The others are overwritten.
  void TwoSteps(Blocks &u, Blocks &y1, Blocks &y2, Blocks &other, Blocks &spare) {
    Blocks &left = factor_, &right = between_;
    Centre(u);
    symmetric_.Product(u, u, {{&y1, 0, 1, {}}, {&spare, 0, 1, {{kP[0], &u}}}});
    symmetric_.Product(y1, spare, {{&y2, 0, 1, {}}, {&left, 0, 1, {{kP[1], &y1}, {kP[2], &u}}}, {&right, 0, 1, {{kP[3], &y1}, {kP[4], &u}}}, {&other, 0, 1, {{kP[8], &y1}, {kP[9], &u}}}});
    symmetric_.Product(left, right, {{&spare, 0, 1, {{kP[5], &y2}, {kP[6], &y1}, {kP[7], &u}}}, {&u, kTwice[0], kTwice[4], {{kTwice[1], &u}, {kTwice[2], &y1}, {kTwice[3], &y2}}}});
    symmetric_.Product(spare, other, {{&factor_, 0, kTwice[5], {{1, &u}}}});
  }

  // u ← gram/kMiddle − 1
  void Centre(const Blocks &u) const {
    for (int64_t i = 0; i < u.size(); i++) u.Panel(0)[i] = gram_.Panel(0)[i] * (1 / kMiddle);
    for (int64_t panel = 0; panel < u.columns(); panel++)
      for (int64_t i = 0; i < kSide; i++) u.At(panel, panel)[i * kSide + i] -= 1;
  }

  const Symmetric symmetric_;
  Blocks gram_, q_, factor_, between_;
  bool first_ = true;
};

void OnGram(const Matrix &x, float scale, int64_t steps, const TakeBlock &take) {
  const Blocks q = GramIteration(x, scale).Run(steps);
  Scale(q, scale);
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
    symmetric.Product(turned, turned, power);
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
            std::copy_n(block.all(), kBlockSize, next.At(row, column));
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
