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
void RegisterAttention();
void RegisterCrossEntropy();
void RegisterNewtonSchulz();
void RegisterOptimizer();
void RegisterProduct();
void RegisterTrunk();
void RegisterScalarTokens();
void RegisterDecode();
void RegisterCombine();
void RegisterVelocity();
void RegisterMemory();

// Freed memory stays with the process from now on, until an operation gives it back.
void KeepFreedMemory();

}  // namespace elf
