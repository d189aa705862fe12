// Products of a weight with panels of tokens, and what follows each of them.
//
// Either form defines kOutputs, OutputTile [kOutputs, kColumns], kShare, the tokens that a thread takes through all blocks at once, about,
// so that what is between two products stays in its cache, kLeastShare, fewer than which are not worth a pass of their own, and
//   Linear<parts>(input, inputs, weight, outputs, sizes, finish):
// products of a weight [parts · outputs, inputs] with all panels. finish(output, rows, panel, tiles) gets, for each part, those of
// `rows` outputs from `output` on with one panel.
#pragma once

#ifdef __AMX_BF16__
#include "split_linear.h"
#else
#include "plain_linear.h"
#endif
