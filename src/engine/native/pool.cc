#include "pool.h"

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace elf {
namespace {

// Waiting threads look this often for work before they sleep: some 0.1 ms, longer than most gaps between two kernels. To wake one up
// takes a good part of that, most of all on a virtual machine.
constexpr int kSpins = 2000;
// Looks until a thread that waits for the others makes room for them: they may not have a processor.
constexpr int kPatience = 20000;
// Pieces of a loop for each thread.
constexpr int kPieces = 4;

class Pool {
 public:
  explicit Pool(int count) {
    for (int i = 1; i < count; i++) workers_.emplace_back([this] { Work(); });
  }

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Runs `part` here and on the threads that come before it has ended here: one that wakes up late has nothing left to do and is
  // not waited for.
  void Run(const std::function<void()> &part) {
    part_ = &part;
    uint64_t turn;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      turn = turn_.fetch_add(1) + 1;
    }
    wake_.notify_all();
    part();
    // From here on nobody joins; a thread that has joined is seen below.
    closed_.store(turn);
    for (int i = 0; joined_.load() != 0; i++) {
      if (i < kPatience) __builtin_ia32_pause();
      else std::this_thread::yield();
    }
  }

 private:
  void Work() {
    uint64_t seen = 0;
    for (;;) {
      for (int i = 0; i < kSpins && turn_.load(std::memory_order_acquire) == seen; i++) __builtin_ia32_pause();
      if (turn_.load(std::memory_order_acquire) == seen) {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return turn_.load(std::memory_order_acquire) != seen; });
      }
      seen = turn_.load();
      joined_.fetch_add(1);
      if (closed_.load() < seen) (*part_)();
      joined_.fetch_sub(1);
    }
  }

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  // The last turn that began and the last one that ended.
  std::atomic<uint64_t> turn_{0}, closed_{0};
  // Threads that take part in a turn, or look whether it has ended.
  std::atomic<int> joined_{0};
  const std::function<void()> *part_ = nullptr;
};

// Never destroyed: its threads wait until the process ends.
Pool *pool = nullptr;
std::mutex busy;

// body(begin, end) on `pieces` parts of [0, count), taken as threads become free; all at once where another caller has the pool.
void Divide(int64_t count, int64_t pieces, const std::function<void(int64_t, int64_t)> &body) {
  // Two callers at once, as from two Node threads: the second one goes alone.
  std::unique_lock<std::mutex> lock(busy, std::try_to_lock);
  if (pool == nullptr || pieces < 2 || !lock.owns_lock()) {
    if (count > 0) body(0, count);
    return;
  }
  std::atomic<int64_t> next{0};
  std::mutex failing;
  std::exception_ptr failure;
  pool->Run([&] {
    try {
      for (int64_t piece; (piece = next.fetch_add(1, std::memory_order_relaxed)) < pieces;) body(count * piece / pieces, count * (piece + 1) / pieces);
    } catch (...) {
      // Memory has run out: the caller says so when no thread uses its own any more.
      next.store(pieces, std::memory_order_relaxed);
      std::lock_guard<std::mutex> guard(failing);
      failure = std::current_exception();
    }
  });
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

void SetThreads(int count) {
  if (pool == nullptr && count > 1) pool = new Pool(count);
}

int Threads() { return pool == nullptr ? 1 : pool->size(); }

void Parallel(int64_t count, int64_t least, const std::function<void(int64_t, int64_t)> &body) {
  // More pieces than threads: a thread may lose its processor to another program for a while.
  Divide(count, count < 2 * least ? 1 : std::min<int64_t>(kPieces * Threads(), count / least), body);
}

void EachInTurn(int64_t count, const std::function<void(int64_t)> &body) {
  Divide(count, count, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) body(i);
  });
}

void EachApart(int64_t count, const std::function<void(int64_t)> &body) {
  const int64_t apart = Threads() == 1 ? 0 : count - count % Threads();
  Parallel(apart, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) body(i);
  });
  for (int64_t i = apart; i < count; i++) body(i);
}

}  // namespace elf
