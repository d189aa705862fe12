// Normally distributed numbers that depend on their key alone.
#pragma once

#include <cstdint>

namespace elf {

struct NormalKey {
  uint32_t key0, key1, indexLow, indexHigh, step;
};

// Fills `out` with the first `count` numbers of a key.
void Normals(const NormalKey &key, int64_t count, float *out);

}  // namespace elf
