// Decoding in two passes: products of bytes say for each logit where it must lie, and the tokens that may be the most likely
// one are computed again in single precision. The result is that of computing all logits in single precision, bit for bit.
//
// Notable: a row h and a column w are rounded to bytes with a scale each, ĥ and ŵ. By Cauchy–Schwarz h·w is at most
// |h − ĥ|·|w| + |ĥ|·|w − ŵ| away from ĥ·ŵ, and all four norms are known. Instructions for products of bytes make four times as many
// as those for floats.
#include "screen.h"

#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <mutex>
#include <vector>

#include "pool.h"
#include "tile.h"

namespace elf {

#if defined(__AVX512F__) && (defined(__GNUC__) || defined(__clang__))
namespace {

// Tokens of a group, rows of a tile, and groups whose columns are rounded together, so that memory is read in long pieces.
constexpr int kTokens = 32, kTileRows = 12, kTogether = 4;
// Terms of a product of bytes that one instruction sums.
constexpr int kTerms = 4;
// Fewer logits than this are computed at once.
constexpr int64_t kLeastVocabulary = 1024;
// Tokens a row that may be left over, on average.
constexpr int64_t kMost = 64;
// More than the bounds lose to their own rounding.
constexpr float kSlack = 1.001f, kRounding = 1.0f / (1 << 21);

struct Candidate {
  int32_t token, row;
  float most;
};

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

bool RoundRows(const Unembedding &u, Rows &to) {
  to.steps = Ceiling(u.width, kTerms);
  to.stride = to.steps * kTerms;
  const int64_t rows = Ceiling(u.rows, kTileRows) * kTileRows;
  to.bytes.assign(rows * to.stride, 0);
  for (std::vector<float> *numbers : {&to.scale, &to.normFactor, &to.errorFactor}) numbers->assign(rows, 0);
  to.sum.assign(rows, 0);
  std::atomic<bool> finite{true};
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
      if (!std::isfinite(squares) || !std::isfinite(inverse)) finite.store(false, std::memory_order_relaxed);
      to.scale[row] = scale;
      to.normFactor[row] = static_cast<float>((std::sqrt(errors) + (u.width + 8) * kRounding * std::sqrt(squares)) * kSlack);
      to.errorFactor[row] = static_cast<float>(std::sqrt(rounded) * kSlack);
    }
  });
  return finite;
}

// Columns from `first` on, of which `present` are there. False unless all are finite.
bool RoundColumns(const Unembedding &u, int64_t first, int64_t present, Columns &to) {
  float greatest[kTokens] = {}, squares[kTokens] = {}, errors[kTokens] = {}, inverse[kTokens], column[kTerms][kTokens];
  for (int64_t term = 0; term < u.width; term++) {
    const float *from = u.kernel + term * u.vocabulary + first;
    for (int64_t i = 0; i < present; i++) {
      greatest[i] = std::max(greatest[i], std::fabs(from[i]));
      squares[i] += from[i] * from[i];
    }
  }
  bool finite = true;
  for (int i = 0; i < kTokens; i++) {
    to.scale[i] = greatest[i] / 127;
    inverse[i] = greatest[i] > 0 ? 127 / greatest[i] : 0;
    to.norm[i] = std::sqrt(squares[i]) * kSlack;
    to.bias[i] = i < present ? u.bias[first + i] : -INFINITY;
    to.biasError[i] = i < present ? std::fabs(to.bias[i]) * kRounding : 0;
    finite = finite && std::isfinite(squares[i]) && std::isfinite(inverse[i]) && (i >= present || std::isfinite(to.bias[i]));
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
  return finite;
}

// sums[row, token] ← Σ of products of kTileRows rows and a group's columns.
__attribute__((target("avx512f,avx512vnni"))) void Products(const int8_t *rows, int64_t stride, const int32_t *columns, int64_t steps, int32_t (*sums)[kTokens]) {
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

// Keeps tokens of a group that may be the most likely one of a row; `least` is what its greatest logit is at least.
void Keep(const Rows &rows, int64_t row, const Columns &columns, const int32_t *sums, int64_t first, std::atomic<float> &least, std::vector<Candidate> &kept) {
  float middle[kTokens], reach[kTokens];
  const int32_t offset = 128 * rows.sum[row];
  const float scale = rows.scale[row], norm = rows.normFactor[row], error = rows.errorFactor[row];
  float bound = least.load(std::memory_order_relaxed);
  int any = 0;
#pragma omp simd reduction(| : any)
  for (int i = 0; i < kTokens; i++) {
    middle[i] = static_cast<float>(sums[i] - offset) * scale * columns.scale[i] + columns.bias[i];
    reach[i] = norm * columns.norm[i] + error * columns.error[i] + columns.biasError[i];
    any |= middle[i] + reach[i] >= bound;
  }
  if (!any) return;
  for (int i = 0; i < kTokens; i++) {
    if (!(middle[i] + reach[i] >= bound) || middle[i] == -INFINITY) continue;
    kept.push_back({static_cast<int32_t>(first + i), static_cast<int32_t>(row), middle[i] + reach[i]});
    bound = std::max(bound, middle[i] - reach[i]);
  }
  // Another thread may write between: every value that stands here is a bound.
  if (bound > least.load(std::memory_order_relaxed)) least.store(bound, std::memory_order_relaxed);
}

// Tokens that may be the most likely one of their row, and none of them too many.
bool Candidates(const Unembedding &u, std::vector<Candidate> &found) {
  Rows rows;
  if (!RoundRows(u, rows)) return false;
  std::vector<std::atomic<float>> least(u.rows);
  for (std::atomic<float> &bound : least) bound.store(-INFINITY, std::memory_order_relaxed);
  std::atomic<bool> usable{true};
  std::mutex collecting;
  Parallel(Ceiling(u.vocabulary, kTogether * kTokens), 1, [&](int64_t begin, int64_t end) {
    std::vector<Columns> columns(kTogether);
    for (Columns &group : columns) group.bytes.resize(rows.steps * kTokens);
    std::vector<Candidate> kept;
    int32_t sums[kTileRows][kTokens];
    for (int64_t block = begin; block < end && usable.load(std::memory_order_relaxed); block++) {
      const int64_t first = block * kTogether * kTokens, groups = std::min<int64_t>(kTogether, Ceiling(u.vocabulary - first, kTokens));
      for (int64_t group = 0; group < groups; group++)
        if (!RoundColumns(u, first + group * kTokens, std::min<int64_t>(kTokens, u.vocabulary - first - group * kTokens), columns[group])) usable.store(false, std::memory_order_relaxed);
      for (int64_t row = 0; row < u.rows; row += kTileRows)
        for (int64_t group = 0; group < groups; group++) {
          Products(rows.bytes.data() + row * rows.stride, rows.stride, columns[group].bytes.data(), rows.steps, sums);
          for (int64_t i = 0; i < std::min<int64_t>(kTileRows, u.rows - row); i++) Keep(rows, row + i, columns[group], sums[i], first + group * kTokens, least[row + i], kept);
        }
      if (static_cast<int64_t>(kept.size()) > 8 * kMost * u.rows) usable.store(false, std::memory_order_relaxed);
    }
    std::lock_guard<std::mutex> lock(collecting);
    found.insert(found.end(), kept.begin(), kept.end());
  });
  found.erase(std::remove_if(found.begin(), found.end(), [&](const Candidate &c) { return c.most < least[c.row].load(std::memory_order_relaxed); }), found.end());
  return usable && static_cast<int64_t>(found.size()) <= kMost * u.rows;
}

// The candidates' logits, terms in their order. A term of all of them at a time: the kernel's rows pass by once.
std::vector<float> Logits(const Unembedding &u, const std::vector<Candidate> &candidates) {
  const int64_t count = candidates.size();
  std::vector<float> turned(u.width * u.rows), logits(count);
  std::vector<int32_t> token(count), row(count);
  for (int64_t i = 0; i < count; i++) {
    token[i] = candidates[i].token;
    row[i] = candidates[i].row;
  }
  Parallel(u.width, 16, [&](int64_t begin, int64_t end) {
    for (int64_t at = 0; at < u.rows; at++)
      for (int64_t term = begin; term < end; term++) turned[term * u.rows + at] = u.head[at * u.width + term];
  });
  Parallel(count, 256, [&](int64_t begin, int64_t end) {
    const int32_t *tokens = token.data(), *rows = row.data();
    float *sums = logits.data();
    for (int64_t term = 0; term < u.width; term++) {
      const float *kernel = u.kernel + term * u.vocabulary, *head = turned.data() + term * u.rows;
#pragma omp simd
      for (int64_t i = begin; i < end; i++) sums[i] += head[rows[i]] * kernel[tokens[i]];
    }
    for (int64_t i = begin; i < end; i++) sums[i] += u.bias[tokens[i]];
  });
  return logits;
}

}  // namespace

bool ScreenedTokens(const Unembedding &u, int32_t *tokens) {
  if (!__builtin_cpu_supports("avx512vnni") || u.vocabulary < kLeastVocabulary) return false;
  std::vector<Candidate> candidates;
  if (!Candidates(u, candidates)) return false;
  std::sort(candidates.begin(), candidates.end(), [](const Candidate &a, const Candidate &b) { return a.token != b.token ? a.token < b.token : a.row < b.row; });
  const std::vector<float> logits = Logits(u, candidates);
  std::vector<float> greatest(u.rows, -INFINITY);
  std::fill_n(tokens, u.rows, 0);
  for (size_t i = 0; i < candidates.size(); i++)
    if (logits[i] > greatest[candidates[i].row]) {
      greatest[candidates[i].row] = logits[i];
      tokens[candidates[i].row] = candidates[i].token;
    }
  return true;
}
#else
bool ScreenedTokens(const Unembedding &, int32_t *) { return false; }
#endif

}  // namespace elf
