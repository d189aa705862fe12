// The most likely token of each row, found among the few that a coarse product leaves over.
#pragma once

#include <cstdint>

namespace elf {

// What decoding reads: head [rows, width], kernel [width, vocabulary], bias [vocabulary].
struct Unembedding {
  const float *head, *kernel, *bias;
  int64_t rows, width, vocabulary;
};

// tokens [rows] ← the first token with the greatest logit. False where this processor, these sizes or these numbers are not for
// it, or where too many tokens are nearly as likely as the best one: then nothing is written.
bool ScreenedTokens(const Unembedding &unembedding, int32_t *tokens);

}  // namespace elf
