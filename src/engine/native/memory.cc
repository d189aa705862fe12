// What becomes of memory that is freed.
#include <malloc.h>

#include "kernels.h"

namespace elf {
namespace {

// → nothing. Gives freed memory back to the system.
void GiveBack(Run &) { malloc_trim(0); }

}  // namespace

// Giving a hundred megabytes back to the system and getting them again, page by page, takes longer than computing on them.
void KeepFreedMemory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, 64 << 20);
}

void RegisterMemory() { Register<GiveBack>("ElfGiveBack", {}, {}); }

}  // namespace elf
