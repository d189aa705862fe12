// Matrices in blocks: what Newton–Schulz multiplies and makes, without packing anything between two products.
//
// Either form defines Blocks, a matrix that is zero beyond its last row and column, in panels of kSide columns, kPanels, the panels that
// stay in the second-level cache, and Registers, which a thread has while it multiplies.
#pragma once

#ifdef __AMX_BF16__
#include "split_blocks.h"
#else
#include "plain_blocks.h"
#endif
