// From one product to queries, keys and values: bias, normalisation, rotation and the split into heads in one pass.
#include <vector>

#include "block_sums.h"
#include "kernels.h"
#include "pool.h"

namespace elf {
namespace {

constexpr float kEpsilon = 1e-6f;
constexpr int64_t kBlock = 16;
constexpr int64_t kWidest = 512;

// Sizes, all read off the inputs: table [N, d] and product [B·N, 3·H·d].
struct Shape {
  int64_t rows, positions, heads, size;

  int64_t width() const { return 3 * heads * size; }
  int64_t batch() const { return rows / positions; }

  // Where position `row % N` of sequence `row / N` lies in [B, H, N, d].
  int64_t at(int64_t row, int64_t head) const {
    return (((row / positions) * heads + head) * positions + row % positions) * size;
  }
};

Shape ShapeOf(Run &run, int product, int table) {
  const int64_t size = run.Axis(table, -1), positions = run.Axis(table, 0), width = run.Axis(product, -1);
  Run::Require(size > 0 && size <= kWidest && size % 2 == 0 && width > 0 && width % (3 * size) == 0, "the product does not split into heads");
  const int64_t rows = run.Size(product) / width;
  Run::Require(positions > 0 && rows % positions == 0, "the product does not split into sequences");
  Run::Require(run.Size(product + 1) == width, "the bias is not as long as a row of the product");
  for (int weight : {product + 2, product + 3}) Run::Require(run.Size(weight) == size, "a weight is not as long as a head");
  for (int angles : {table, table + 1}) Run::Require(run.Size(angles) == positions * size, "the tables of rotations differ in size");
  return {rows, positions, width / (3 * size), size};
}

// y ← rotation of x; `direction` −1 turns back.
void Rotate(const float *x, const float *cos, const float *sin, float direction, int64_t size, float *y) {
  for (int64_t i = 0; i < size; i += 2) {
    y[i] = x[i] * cos[i] - direction * x[i + 1] * sin[i];
    y[i + 1] = x[i + 1] * cos[i + 1] + direction * x[i] * sin[i + 1];
  }
}

void Forward(Run &run) {
  const Shape shape = ShapeOf(run, 0, 4);
  const float *product = run.Input(0), *bias = run.Input(1), *weights[] = {run.Input(2), run.Input(3)}, *cos = run.Input(4), *sin = run.Input(5);
  const int64_t size = shape.size, heads = shape.heads;
  float *parts[3];
  for (int part = 0; part < 3; part++) parts[part] = run.Output(part, {shape.batch(), heads, shape.positions, size});
  float *inverse = run.Output(3, {shape.rows, 2 * heads});
  Parallel(shape.rows, 4, [&](int64_t begin, int64_t end) {
    float x[kWidest], normed[kWidest];
    for (int64_t row = begin; row < end; row++) {
      const int64_t table = (row % shape.positions) * size;
      for (int64_t part = 0; part < 3; part++) {
        for (int64_t head = 0; head < heads; head++) {
          const int64_t from = (part * heads + head) * size;
          const float *source = product + row * shape.width() + from;
          float *to = parts[part] + shape.at(row, head);
          if (part == 2) {
            for (int64_t i = 0; i < size; i++) to[i] = source[i] + bias[from + i];
            continue;
          }
          float squares = 0;
#pragma omp simd reduction(+ : squares)
          for (int64_t i = 0; i < size; i++) {
            x[i] = source[i] + bias[from + i];
            squares += x[i] * x[i];
          }
          const float scale = 1.0f / std::sqrt(squares / size + kEpsilon);
          inverse[row * 2 * heads + part * heads + head] = scale;
          for (int64_t i = 0; i < size; i++) normed[i] = x[i] * scale * weights[part][i];
          Rotate(normed, cos + table, sin + table, 1, size, to);
        }
      }
    }
  });
}

// dq, dk, dv, product, bias, query weight, key weight, cos, sin, inverse → dproduct, dbias, dquery weight, dkey weight
void Backward(Run &run) {
  const Shape shape = ShapeOf(run, 3, 7);
  const float *upstream[] = {run.Input(0), run.Input(1), run.Input(2)}, *product = run.Input(3), *bias = run.Input(4);
  const float *weights[] = {run.Input(5), run.Input(6)}, *cos = run.Input(7), *sin = run.Input(8), *inverse = run.Input(9);
  for (int part = 0; part < 3; part++) Run::Require(3 * run.Size(part) == run.Size(3), "a gradient has another size than the heads");
  Run::Require(run.Size(9) == shape.rows * 2 * shape.heads, "the inverse norms do not fit the heads");
  const int64_t size = shape.size, heads = shape.heads, width = shape.width();
  float *dproduct = run.OutputLike(0, 3), *dbias = run.Output(1, {width});
  float *dweights[] = {run.Output(2, {size}), run.Output(3, {size})};
  const int64_t sums = width + 2 * size;
  std::vector<float> total(sums);
  SumOverRows(shape.rows, kBlock, sums, total.data(), [&](int64_t row, float *sum) {
    float dy[kWidest], x[kWidest];
    const int64_t table = (row % shape.positions) * size;
    for (int64_t part = 0; part < 3; part++) {
      for (int64_t head = 0; head < heads; head++) {
        const int64_t from = (part * heads + head) * size;
        const float *source = product + row * width + from, *gradient = upstream[part] + shape.at(row, head);
        float *to = dproduct + row * width + from, *biasSum = sum + from;
        if (part == 2) {
          for (int64_t i = 0; i < size; i++) {
            to[i] = gradient[i];
            biasSum[i] += gradient[i];
          }
          continue;
        }
        const float *weight = weights[part];
        float *weightSum = sum + width + part * size;
        Rotate(gradient, cos + table, sin + table, -1, size, dy);
        const float scale = inverse[row * 2 * heads + part * heads + head];
        float along = 0;
#pragma omp simd reduction(+ : along)
        for (int64_t i = 0; i < size; i++) {
          x[i] = source[i] + bias[from + i];
          along += dy[i] * weight[i] * x[i];
        }
        const float share = along * scale * scale / size;
        for (int64_t i = 0; i < size; i++) {
          const float dx = scale * (dy[i] * weight[i] - x[i] * share);
          to[i] = dx;
          biasSum[i] += dx;
          weightSum[i] += dy[i] * x[i] * scale;
        }
      }
    }
  });
  std::copy(total.begin(), total.begin() + width, dbias);
  for (int part = 0; part < 2; part++) std::copy_n(total.begin() + width + part * size, size, dweights[part]);
}

}  // namespace

void RegisterHeads() {
  Register<Forward>(
      "ElfHeads", {"product: float", "bias: float", "query_weight: float", "key_weight: float", "cos: float", "sin: float"},
      {"query: float", "key: float", "value: float", "inverse: float"});
  Register<Backward>(
      "ElfHeadsGradient",
      {"dquery: float", "dkey: float", "dvalue: float", "product: float", "bias: float", "query_weight: float", "key_weight: float",
       "cos: float", "sin: float", "inverse: float"},
      {"dproduct: float", "dbias: float", "dquery_weight: float", "dkey_weight: float"});
}

}  // namespace elf
