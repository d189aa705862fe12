// Memory that vectors are read from: one that reaches over the end of a cache line takes two reads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>

namespace elf {

struct Aligned {
  void operator()(void *data) const { ::operator delete[](data, std::align_val_t(64)); }
};
typedef std::unique_ptr<float[], Aligned> AlignedBuffer;

// Memory for `count` numbers, at a cache line's beginning and not zero before.
inline AlignedBuffer Allocate(int64_t count) {
  return AlignedBuffer(static_cast<float *>(::operator new[](count * sizeof(float), std::align_val_t(64))));
}

inline AlignedBuffer Zeros(int64_t count) {
  AlignedBuffer zeros = Allocate(count);
  std::fill_n(zeros.get(), count, 0.0f);
  return zeros;
}

}  // namespace elf
