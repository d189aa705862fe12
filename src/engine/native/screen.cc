// Decoding in two passes: products of bytes say for each logit where it must lie, and the tokens that may be the most likely
// one are computed again in single precision. The result is that of computing all logits in single precision, bit for bit.
//
// Notable: a row h and a column w are rounded to bytes with a scale each, ĥ and ŵ. By Cauchy–Schwarz h·w is at most
// |h − ĥ|·|w| + |ĥ|·|w − ŵ| away from ĥ·ŵ, and all four norms are known. Instructions for products of bytes make four times as many
// as those for floats.
#include "screen.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <vector>

#include "bytes.h"
#include "pool.h"
#include "turn.h"

namespace elf {

#ifdef __AVX512F__
namespace {

// Fewer logits than this are computed at once.
constexpr int64_t kLeastVocabulary = 1024;
// Tokens a row that may be left over, on average.
constexpr int64_t kMost = 64;

struct Candidate {
  int32_t token, row;
  float most;
};

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
    TurnRound(u.head + begin, u.rows, end - begin, u.width, turned.data() + begin * u.rows, u.rows);
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
