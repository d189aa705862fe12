// Normally distributed numbers as flow/Normals.ts defines them, bit for bit: the same operations on doubles in the same order.
#include "normals.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "pool.h"

// A multiplication and an addition in one would round once where JavaScript rounds twice.
#include "separate_rounding.h"

namespace elf {
namespace {

// Blocks of four words that are worked on together.
constexpr int kBlocks = 64;

struct Words {
  uint32_t word[4][kBlocks];
};

// Philox4x32-10 of kBlocks counters from `first` on.
void Philox(uint32_t first, const NormalKey &key, Words &words) {
  for (int i = 0; i < kBlocks; i++) {
    uint32_t c0 = first + i, c1 = key.step, c2 = key.indexLow, c3 = key.indexHigh, k0 = key.key0, k1 = key.key1;
    for (int round = 0; round < 10; round++) {
      const uint64_t a = uint64_t{0xd2511f53} * c0, b = uint64_t{0xcd9e8d57} * c2;
      c0 = static_cast<uint32_t>(b >> 32) ^ c1 ^ k0;
      c1 = static_cast<uint32_t>(b);
      c2 = static_cast<uint32_t>(a >> 32) ^ c3 ^ k1;
      c3 = static_cast<uint32_t>(a);
      k0 += 0x9e3779b9;
      k1 += 0xbb67ae85;
    }
    words.word[0][i] = c0;
    words.word[1][i] = c1;
    words.word[2][i] = c2;
    words.word[3][i] = c3;
  }
}

// √(−2 ln u) with u = (word + ½) / 2³²
inline double Radius(uint32_t word) {
  const double odd = 2.0 * word + 1.0;
  int64_t bits;
  std::memcpy(&bits, &odd, sizeof bits);
  double exponent = static_cast<double>(static_cast<int32_t>((bits >> 52) - 1023 - 33));
  bits = (bits & 0xfffffffffffff) | 0x3ff0000000000000;
  double mantissa;
  std::memcpy(&mantissa, &bits, sizeof mantissa);
  const bool large = mantissa > 1.4142135623730951;
  mantissa = large ? mantissa * 0.5 : mantissa;
  exponent = large ? exponent + 1.0 : exponent;
  const double s = (mantissa - 1.0) / (mantissa + 1.0), z = s * s;
  const double series = 1.0 + z * (1.0 / 3 + z * (1.0 / 5 + z * (1.0 / 7 + z * (1.0 / 9 + z * (1.0 / 11 + z * (1.0 / 13 + z * (1.0 / 15)))))));
  return std::sqrt(-2.0 * (exponent * 0.6931471805599453 + 2.0 * s * series));
}

// radius · (cos, sin) of word / 2³² turns
inline void Turn(double radius, uint32_t word, float &x, float &y) {
  const uint32_t quarter = (word + 0x20000000u) >> 30;
  const double a = static_cast<double>(static_cast<int32_t>(word - (quarter << 30))) * (3.141592653589793 / 2147483648.0), z = a * a;
  const double sine = a * (1.0 + z * (-1.0 / 6 + z * (1.0 / 120 + z * (-1.0 / 5040 + z * (1.0 / 362880 + z * (-1.0 / 39916800 + z * (1.0 / 6227020800.0)))))));
  const double cosine =
      1.0 + z * (-1.0 / 2 + z * (1.0 / 24 + z * (-1.0 / 720 + z * (1.0 / 40320 + z * (-1.0 / 3628800 + z * (1.0 / 479001600 + z * (-1.0 / 87178291200.0)))))));
  const double along = quarter & 1 ? sine : cosine, across = quarter & 1 ? cosine : sine;
  x = static_cast<float>(radius * (quarter == 1 || quarter == 2 ? -along : along));
  y = static_cast<float>(radius * (quarter >= 2 ? -across : across));
}

void Fill(const NormalKey &key, int64_t firstBlock, int64_t count, float *out) {
  Words words;
  float drawn[4][kBlocks];
  Philox(static_cast<uint32_t>(firstBlock), key, words);
  for (int pair = 0; pair < 4; pair += 2)
    for (int i = 0; i < kBlocks; i++) Turn(Radius(words.word[pair][i]), words.word[pair + 1][i], drawn[pair][i], drawn[pair + 1][i]);
  for (int64_t i = 0; i < count; i++) out[i] = drawn[i % 4][i / 4];
}

}  // namespace

void Normals(const NormalKey &key, int64_t count, float *out) {
  constexpr int64_t kTogether = 4 * kBlocks;
  Parallel((count + kTogether - 1) / kTogether, 16, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; chunk++)
      Fill(key, chunk * kBlocks, std::min(kTogether, count - chunk * kTogether), out + chunk * kTogether);
  });
}

}  // namespace elf
