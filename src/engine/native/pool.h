// Threads that share loops. libtensorflow's own pool cannot be reached through its C interface.
#pragma once

#include <cstdint>
#include <functional>

namespace elf {

// Sets how many threads loops use; 1 or more.
void SetThreads(int count);

// How many threads loops use.
int Threads();

// Calls body(begin, end) on parts that cover [0, count), on several threads where there are at least two parts of
// `least`, and returns when all are done. Which thread takes which part changes no result.
void Parallel(int64_t count, int64_t least, const std::function<void(int64_t, int64_t)> &body);

// Calls body(i) for i in [0, count), in this order, each on the next thread that is free.
void EachInTurn(int64_t count, const std::function<void(int64_t)> &body);

// Calls body(i) for i in [0, count): whole calls on each thread, and those left over one by one with loops of their own on all.
void EachApart(int64_t count, const std::function<void(int64_t)> &body);

}  // namespace elf
