// Products of two matrices, either of them turned round: what training multiplies forwards and backwards. A row of the product does
// not depend on the rows beside it.
#include <cstdint>
#include <vector>

#include "kernels.h"
#include "pool.h"
#ifdef __AMX_BF16__
#include "split_product.h"
#else
#include "plain_product.h"
#endif

namespace elf {
namespace {

// a [..., rows, terms] and b [..., terms, columns], one of them turned round where it says so → a·b [..., rows, columns]
template <bool turnLeft, bool turnRight>
void Product(Run &run) {
  const int64_t height = run.Axis(0, -2), width = run.Axis(0, -1), terms = turnLeft ? height : width;
  const int64_t rows = turnLeft ? width : height, columns = run.Axis(1, turnRight ? -2 : -1);
  Run::Require(terms > 0 && rows > 0 && columns > 0 && run.Axis(1, turnRight ? -1 : -2) == terms, "the factors do not fit each other");
  const int64_t count = run.Size(0) / (rows * terms);
  Run::Require(run.Size(0) == count * rows * terms && run.Size(1) == count * terms * columns, "there are not as many left factors as right ones");
  std::vector<int64_t> shape = run.Shape(0);
  shape[shape.size() - 2] = rows;
  shape.back() = columns;
  const float *left = run.Input(0), *right = run.Input(1);
  float *out = run.Output(0, shape);
  EachApart(count, [&](int64_t i) {
    Multiply({left + i * rows * terms, turnLeft, right + i * terms * columns, turnRight, rows, terms, columns}, {out + i * rows * columns});
  });
}

// a [terms, rows], b [terms, columns], sum [rows, columns] (changed) : sum ← sum + aᵀ·b
void AddProduct(Run &run) {
  const int64_t terms = run.Axis(0, 0), rows = run.Axis(0, 1), columns = run.Axis(1, 1);
  Run::Require(terms > 0 && rows > 0 && columns > 0 && run.Size(0) == terms * rows && run.Size(1) == terms * columns && run.Size(2) == rows * columns, "the factors and their sum do not fit each other");
  Multiply({run.Input(0), true, run.Input(1), false, rows, terms, columns}, {run.Input(2), true});
}

}  // namespace

void RegisterProduct() {
  Register<Product<false, false>>("ElfProduct", {"a: float", "b: float"}, {"product: float"});
  Register<Product<false, true>>("ElfProductTurnedRight", {"a: float", "b: float"}, {"product: float"});
  Register<Product<true, false>>("ElfProductTurnedLeft", {"a: float", "b: float"}, {"product: float"});
  Register<AddProduct>("ElfAddProduct", {"a: float", "b: float", "sum: float"}, {});
}

}  // namespace elf
