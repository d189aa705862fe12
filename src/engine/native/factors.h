// Two matrices that are multiplied.
#pragma once

#include <cstdint>

namespace elf {

// A matrix as it is stored.
struct Matrix {
  const float *data;
  int64_t apart;

  const float *At(int64_t row, int64_t column) const { return data + row * apart + column; }
};

// Left [rows, terms] and right [terms, columns]; one that is turned round is stored with its columns as rows.
struct Factors {
  const float *left;
  bool turnLeft;
  const float *right;
  bool turnRight;
  int64_t rows, terms, columns;

  Matrix Left() const { return {left, turnLeft ? rows : terms}; }
  Matrix Right() const { return {right, turnRight ? terms : columns}; }
};

// The product, and whether it is added to what lies there.
struct Result {
  float *data;
  bool adds = false;
};

}  // namespace elf
