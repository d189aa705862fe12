// Newton–Schulz orthogonalisation of one matrix.
#pragma once

#include <cstdint>
#include <functional>

#include "blocks.h"

namespace elf {

// Gets the result block by block, on any thread: its first row and column, and how many of the block's there are.
typedef std::function<void(int64_t row, int64_t column, int64_t rows, int64_t columns, const Block &block)> TakeBlock;

// An approximately orthogonal matrix with the singular vectors of x [rows, columns], whose squares add up to `squares`.
void NewtonSchulz(const float *x, int64_t rows, int64_t columns, double squares, int64_t steps, const TakeBlock &take);

}  // namespace elf
