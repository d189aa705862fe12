// Rows and columns of a product rounded to bytes, with bounds of what the rounding changes, and their products.
#pragma once

#ifdef __AVX512F__
#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <vector>

#include "pool.h"
#include "screen.h"
#include "tile.h"

namespace elf {

// Tokens of a group, rows of a tile, and groups whose columns are rounded together, so that memory is read in long pieces.
constexpr int kTokens = 32, kTileRows = 12, kTogether = 4;
// Terms of a product of bytes that one instruction sums.
constexpr int kTerms = 4;
// Rows and columns whose greatest number is less, but not 0, are too small for their squares.
constexpr float kLeastNumber = 1e-12f;
// More than the bounds lose to their own rounding.
constexpr float kSlack = 1.001f, kRounding = 1.0f / (1 << 21);

// Rows as bytes [rows, steps · kTerms], a scale each, and what a bound takes of a column's norm and of its error.
struct Rows {
  int64_t steps, stride;
  std::vector<int8_t> bytes;
  std::vector<float> scale, normFactor, errorFactor;
  std::vector<int32_t> sum;
};

// Columns of one group as bytes plus 128 [steps, kTokens, kTerms], with a scale, the norm and the norm of the error each.
struct Columns {
  std::vector<int32_t> bytes;
  float scale[kTokens], norm[kTokens], error[kTokens], bias[kTokens], biasError[kTokens];
};

// The head's rows. False where a number is infinite, none at all, or all are too small.
inline bool RoundRows(const Unembedding &u, Rows &to) {
  to.steps = Ceiling(u.width, kTerms);
  to.stride = to.steps * kTerms;
  const int64_t rows = Ceiling(u.rows, kTileRows) * kTileRows;
  to.bytes.assign(rows * to.stride, 0);
  for (std::vector<float> *numbers : {&to.scale, &to.normFactor, &to.errorFactor}) numbers->assign(rows, 0);
  to.sum.assign(rows, 0);
  std::atomic<bool> usable{true};
  Parallel(u.rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const float *h = u.head + row * u.width;
      int8_t *bytes = to.bytes.data() + row * to.stride;
      float greatest = 0;
      double squares = 0, rounded = 0, errors = 0;
      for (int64_t i = 0; i < u.width; i++) greatest = std::max(greatest, std::fabs(h[i]));
      const float scale = greatest / 127, inverse = greatest > 0 ? 127 / greatest : 0;
      for (int64_t i = 0; i < u.width; i++) {
        const float whole = std::nearbyintf(h[i] * inverse), value = whole * scale, error = h[i] - value;
        bytes[i] = static_cast<int8_t>(std::max(-127.0f, std::min(127.0f, whole)));
        to.sum[row] += bytes[i];
        squares += static_cast<double>(h[i]) * h[i];
        rounded += static_cast<double>(value) * value;
        errors += static_cast<double>(error) * error;
      }
      if (!std::isfinite(squares) || (greatest > 0 && greatest < kLeastNumber)) usable.store(false, std::memory_order_relaxed);
      to.scale[row] = scale;
      to.normFactor[row] = static_cast<float>((std::sqrt(errors) + (u.width + 8) * kRounding * std::sqrt(squares)) * kSlack);
      to.errorFactor[row] = static_cast<float>(std::sqrt(rounded) * kSlack);
    }
  });
  return usable;
}

// Columns from `first` on, of which `present` are there. False where a number is infinite, none at all, or all are too small.
inline bool RoundColumns(const Unembedding &u, int64_t first, int64_t present, Columns &to) {
  float greatest[kTokens] = {}, squares[kTokens] = {}, errors[kTokens] = {}, inverse[kTokens], column[kTerms][kTokens];
  for (int64_t term = 0; term < u.width; term++) {
    const float *from = u.kernel + term * u.vocabulary + first;
    for (int64_t i = 0; i < present; i++) {
      greatest[i] = std::max(greatest[i], std::fabs(from[i]));
      squares[i] += from[i] * from[i];
    }
  }
  bool usable = true;
  for (int i = 0; i < kTokens; i++) {
    to.scale[i] = greatest[i] / 127;
    inverse[i] = greatest[i] > 0 ? 127 / greatest[i] : 0;
    to.norm[i] = std::sqrt(squares[i]) * kSlack;
    to.bias[i] = i < present ? u.bias[first + i] : -INFINITY;
    to.biasError[i] = i < present ? std::fabs(to.bias[i]) * kRounding : 0;
    usable = usable && std::isfinite(squares[i]) && (greatest[i] == 0 || greatest[i] >= kLeastNumber) && (i >= present || std::isfinite(to.bias[i]));
  }
  for (int64_t step = 0; step < Ceiling(u.width, kTerms); step++) {
    int32_t *bytes = to.bytes.data() + step * kTokens;
    for (int i = 0; i < kTokens; i++) bytes[i] = 0;
    for (int part = 0; part < kTerms; part++) {
      const int64_t term = step * kTerms + part;
      if (term < u.width) std::copy_n(u.kernel + term * u.vocabulary + first, present, column[part]);
      else std::fill_n(column[part], kTokens, 0.0f);
      if (present < kTokens) std::fill_n(column[part] + present, kTokens - present, 0.0f);
#pragma omp simd
      for (int i = 0; i < kTokens; i++) {
        const float whole = std::nearbyintf(column[part][i] * inverse[i]), error = column[part][i] - whole * to.scale[i];
        errors[i] += error * error;
        bytes[i] |= (static_cast<int32_t>(whole) + 128) << (8 * part);
      }
    }
  }
  for (int i = 0; i < kTokens; i++) to.error[i] = std::sqrt(errors[i]) * kSlack;
  return usable;
}

// sums[row, token] ← Σ of products of kTileRows rows and a group's columns.
__attribute__((target("avx512f,avx512vnni"))) inline void Products(const int8_t *rows, int64_t stride, const int32_t *columns, int64_t steps, int32_t (*sums)[kTokens]) {
  __m512i total[kTileRows][2];
#pragma GCC unroll 16
  for (int row = 0; row < kTileRows; row++) total[row][0] = total[row][1] = _mm512_setzero_si512();
  for (int64_t step = 0; step < steps; step++, rows += kTerms, columns += kTokens) {
    const __m512i first = _mm512_loadu_si512(columns), second = _mm512_loadu_si512(columns + 16);
#pragma GCC unroll 16
    for (int row = 0; row < kTileRows; row++) {
      int32_t terms;
      std::memcpy(&terms, rows + row * stride, sizeof terms);
      const __m512i factor = _mm512_set1_epi32(terms);
      total[row][0] = _mm512_dpbusd_epi32(total[row][0], first, factor);
      total[row][1] = _mm512_dpbusd_epi32(total[row][1], second, factor);
    }
  }
#pragma GCC unroll 16
  for (int row = 0; row < kTileRows; row++) {
    _mm512_storeu_si512(sums[row], total[row][0]);
    _mm512_storeu_si512(sums[row] + 16, total[row][1]);
  }
}

}  // namespace elf
#endif
