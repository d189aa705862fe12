// What queries weigh keys with.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "tile.h"
#include "vector_math.h"

namespace elf {

// Keys of one head, and where the numbers of each lie. Tiles reach up to kRows keys beyond the last one.
struct Keys {
  const float *data;
  int64_t apart, channelApart, count, channels;
};

// Products of all keys with `vectors` vectors of queries [channels, queryApart] → scores [keys, kColumns]
template <int vectors>
void Score(const Keys &keys, const float *queries, int64_t queryApart, float *scores) {
  for (int64_t key = 0; key < keys.count; key += kRows)
    Multiply<vectors>(keys.data + key * keys.apart, keys.apart, keys.channelApart, queries, queryApart, keys.channels, *reinterpret_cast<Tile *>(scores + key * kColumns));
}

// scores [keys, kColumns] ← e^(score − greatest), and share ← 1 / their sums, for each lane of `vectors` vectors.
template <int vectors>
void Weigh(const Keys &keys, const float *queries, int64_t queryApart, float *scores, float *greatest, float *share) {
  constexpr int width = vectors * kLanes;
  Score<vectors>(keys, queries, queryApart, scores);
  std::fill_n(greatest, width, -INFINITY);
  for (int64_t key = 0; key < keys.count; key++)
    for (int lane = 0; lane < width; lane++) greatest[lane] = std::max(greatest[lane], scores[key * kColumns + lane]);
  float total[width] = {};
  for (int64_t key = 0; key < keys.count; key++) {
    float *score = scores + key * kColumns;
#pragma omp simd
    for (int lane = 0; lane < width; lane++) {
      score[lane] = Exp(score[lane] - greatest[lane]);
      total[lane] += score[lane];
    }
  }
  for (int lane = 0; lane < width; lane++) share[lane] = 1 / total[lane];
}

}  // namespace elf
