// Loops of the kernels' threads by themselves: each part once, nested loops, and exceptions on any thread.
#include "pool.h"

#include <atomic>
#include <cstdio>
#include <new>

namespace {

int failures = 0;

void Expect(bool holds, const char *what) {
  if (holds) return;
  failures++;
  std::fprintf(stderr, "%s\n", what);
}

void EachPartOnce(int round) {
  const int64_t count = 1 + round % 70;
  std::atomic<int64_t> sum{0}, nested{0};
  elf::EachInTurn(count, [&](int64_t i) { sum += i; });
  Expect(sum == count * (count - 1) / 2, "EachInTurn missed a call or made one twice");
  elf::EachApart(count, [&](int64_t) { elf::Parallel(40, 1, [&](int64_t begin, int64_t end) { nested += end - begin; }); });
  Expect(nested == 40 * count, "a nested loop missed a part or took one twice");
}

void ExceptionOfAnyThread(int round) {
  std::atomic<int> running{0};
  bool thrown = false;
  try {
    elf::Parallel(64, 1, [&](int64_t begin, int64_t end) {
      running++;
      for (int64_t i = begin; i < end; i++)
        if (i == round % 64) {
          running--;
          throw std::bad_alloc();
        }
      running--;
    });
  } catch (const std::bad_alloc &) {
    thrown = true;
  }
  Expect(thrown, "an exception was lost");
  Expect(running == 0, "the loop returned while a thread was still at work");
}

}  // namespace

int main() {
  elf::SetThreads(4);
  for (int round = 0; round < 20000; round++) {
    EachPartOnce(round);
    ExceptionOfAnyThread(round);
  }
  return failures == 0 ? 0 : 1;
}
