// Symmetric products for Newton–Schulz: only tiles on and above the diagonal are computed, and a polynomial of the product
// leaves with them.
#include <memory>
#include <utility>
#include <vector>

#include "kernels.h"
#include "pool.h"
#include "tile.h"

namespace elf {
namespace {

// Products are summed over this many terms at once: a packed panel of them stays in the second-level cache.
constexpr int64_t kDepth = 256;

// Panels of the left factor that are used one after the other with one of the right: they stay in that cache too.
constexpr int64_t kPanels = 192 / kRows;

// One of n matrices [terms, size], or [size, terms] where `turned`, of which products over the terms are made.
struct Operand {
  const float *data;
  int64_t size, terms;
  bool turned;

  // Writes `width` columns from `first` on of terms [begin, end) next to each other, zeros beyond the last column.
  void Pack(int64_t first, int64_t width, int64_t begin, int64_t end, float *to) const {
    const int64_t present = std::min(width, size - first);
    if (!turned) {
      for (int64_t term = begin; term < end; term++, to += width) {
        const float *from = data + term * size + first;
        for (int64_t i = 0; i < present; i++) to[i] = from[i];
        for (int64_t i = present; i < width; i++) to[i] = 0;
      }
      return;
    }
    for (int64_t i = 0; i < width; i++)
      for (int64_t term = begin; term < end; term++)
        to[(term - begin) * width + i] = i < present ? data[(first + i) * terms + term] : 0;
  }
};

// Everything about one call.
struct Product {
  int64_t count, size, terms;
  bool turned;
  const float *left, *right, *matrix, *coefficients;
  float *out;

  Operand Of(const float *data, int64_t which) const { return {data + which * size * terms, size, terms, turned}; }

  // Adds a tile of the product to `out`; with the last terms also the polynomial, and the mirrored tile.
  void Store(Tile &tile, int64_t which, int64_t row0, int64_t column0, bool first, bool last) const {
    const float *c = coefficients + 3 * which, *m = matrix + which * size * size;
    float *to = out + which * size * size;
    const int64_t rows = std::min<int64_t>(kRows, size - row0), columns = std::min<int64_t>(kColumns, size - column0);
    for (int64_t row = 0; row < rows; row++) {
      float *value = tile.value[row];
      const int64_t at = (row0 + row) * size + column0;
      if (!first)
        for (int64_t i = 0; i < columns; i++) value[i] += to[at + i];
      if (last && c[1] == 0)
        for (int64_t i = 0; i < columns; i++) value[i] *= c[2];
      else if (last)
        for (int64_t i = 0; i < columns; i++) value[i] = c[2] * value[i] + c[1] * m[at + i];
      const int64_t diagonal = row0 + row - column0;
      if (last && diagonal >= 0 && diagonal < columns) value[diagonal] += c[0];
      // Left of the diagonal stand mirrored values, which another thread may have written already: they are left alone.
      for (int64_t i = std::max<int64_t>(0, diagonal); i < columns; i++) to[at + i] = value[i];
    }
    if (!last) return;
    for (int64_t column = 0; column < columns; column++) {
      float *mirrored = to + (column0 + column) * size + row0;
      const int64_t above = std::min(rows, column0 + column - row0);
      for (int64_t row = 0; row < above; row++) mirrored[row] = tile.value[row][column];
    }
  }
};

void Compute(const Product &p) {
  const int64_t rowPanels = Ceiling(p.size, kRows), columnPanels = Ceiling(p.size, kColumns);
  std::vector<std::pair<int32_t, int32_t>> tiles;
  for (int64_t begin = 0; begin < rowPanels; begin += kPanels)
    for (int64_t column = begin * kRows / kColumns; column < columnPanels; column++)
      for (int64_t row = begin; row < std::min(rowPanels, begin + kPanels) && row * kRows < (column + 1) * kColumns; row++)
        tiles.emplace_back(row, column);
  const int64_t depth = std::min(kDepth, p.terms);
  const int64_t leftSize = rowPanels * kRows * depth, rightSize = columnPanels * kColumns * depth, tileCount = tiles.size();
  // Not vectors: what is packed need not be zero before.
  const std::unique_ptr<float[]> left(new float[p.count * leftSize]), right(new float[p.count * rightSize]);
  for (int64_t begin = 0; begin < p.terms; begin += depth) {
    const int64_t end = std::min(p.terms, begin + depth), panels = rowPanels + columnPanels;
    Parallel(p.count * panels, 4, [&](int64_t first, int64_t last) {
      for (int64_t index = first; index < last; index++) {
        const int64_t which = index / panels, panel = index % panels;
        if (panel < rowPanels) p.Of(p.left, which).Pack(panel * kRows, kRows, begin, end, left.get() + which * leftSize + panel * kRows * depth);
        else p.Of(p.right, which).Pack((panel - rowPanels) * kColumns, kColumns, begin, end, right.get() + which * rightSize + (panel - rowPanels) * kColumns * depth);
      }
    });
    Parallel(p.count * tileCount, 4, [&](int64_t first, int64_t last) {
      Tile tile;
      for (int64_t index = first; index < last; index++) {
        const int64_t which = index / tileCount;
        const auto [row, column] = tiles[index % tileCount];
        Multiply(left.get() + which * leftSize + row * kRows * depth, 1, kRows, right.get() + which * rightSize + column * kColumns * depth, kColumns, end - begin, tile);
        p.Store(tile, which, row * kRows, column * kColumns, begin == 0, end == p.terms);
      }
    });
  }
}

// left, right [n, terms, r], or [n, r, terms] where turned; matrix [n, r, r]; coefficients [n, 3]
// → coefficients₀·I + coefficients₁·matrix + coefficients₂·leftᵀ·right, which must be symmetric. [n, r, r]
// Where coefficients₁ is 0 the matrix is not read and may be any tensor.
template <bool turned>
void Symmetric(Run &run) {
  Product p;
  p.turned = turned;
  p.size = run.Axis(0, turned ? -2 : -1);
  p.terms = run.Axis(0, turned ? -1 : -2);
  p.count = run.Size(3) / 3;
  Run::Require(p.count > 0 && 3 * p.count == run.Size(3) && p.size > 0 && p.terms > 0, "there is nothing to multiply, or not three coefficients each");
  Run::Require(run.Size(0) == p.count * p.size * p.terms && run.Size(1) == run.Size(0), "the factors differ in size");
  p.left = run.Input(0);
  p.right = run.Input(1);
  p.matrix = run.Input(2);
  p.coefficients = run.Input(3);
  for (int64_t which = 0; which < p.count; which++)
    Run::Require(p.coefficients[3 * which + 1] == 0 || run.Size(2) == p.count * p.size * p.size, "the matrix is not as large as the product");
  p.out = run.Output(0, {p.count, p.size, p.size});
  Compute(p);
}

}  // namespace

void RegisterOrthogonal() {
  Register<Symmetric<false>>("ElfSymmetric", {"left: float", "right: float", "matrix: float", "coefficients: float"}, {"out: float"});
  Register<Symmetric<true>>("ElfSymmetricTurned", {"left: float", "right: float", "matrix: float", "coefficients: float"}, {"out: float"});
}

}  // namespace elf
