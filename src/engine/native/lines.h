// Where the numbers of a factor lie.
#pragma once

#include <cstdint>

namespace elf {

// The beginning of a matrix, and how many rows and columns there are from it on; may be none.
struct Corner {
  const float *data;
  int64_t apart, rows, columns;
};

// Rows of a left factor, or columns of a right one. The terms of a line lie side by side, or else one term of all lines.
struct Lines {
  const float *data;
  int64_t apart, lines, terms;
  bool termsTogether;

  // What there is from a line and a term on, as it is stored.
  Corner At(int64_t line, int64_t term) const {
    return termsTogether ? Corner{data + line * apart + term, apart, lines - line, terms - term} : Corner{data + term * apart + line, apart, terms - term, lines - line};
  }

  // `count` terms of all lines, from `first` on.
  Lines Terms(int64_t first, int64_t count) const { return {At(0, first).data, apart, lines, count, termsTogether}; }
};

}  // namespace elf
