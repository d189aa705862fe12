// All kernels of this library.
#pragma once

#include <algorithm>
#include <cmath>

#include "kernel.h"

namespace elf {

void RegisterRmsNorm();
void RegisterHeads();
void RegisterGate();
void RegisterResidual();
void RegisterSoftmax();
void RegisterCrossEntropy();
void RegisterOrthogonal();
void RegisterOptimizer();
void RegisterTrunk();
void RegisterDecode();

// sum[i] = Σ over blocks of partial[block, i], in the order of the blocks.
void AddBlocks(const float *partial, int64_t blocks, int64_t width, float *sum);

}  // namespace elf
