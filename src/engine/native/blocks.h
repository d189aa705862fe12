// Matrices in blocks: what Newton–Schulz multiplies and makes, without packing anything between two products.
//
// Either form defines Blocks, a matrix that is zero beyond its last row and column, in panels of kSide columns, and kPanels, the
// panels of one factor that stay in the second-level cache while those of the other pass by.
#pragma once

#ifdef __AMX_BF16__
#include "split_blocks.h"
#else
#include "plain_blocks.h"
#endif
