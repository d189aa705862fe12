// The addon: registers the kernels with the libtensorflow of this process, once.
#include "kernels.h"

#include <malloc.h>
#include <node_api.h>

#include "pool.h"

namespace elf {
namespace {

// Freed tensors stay with the process: giving a hundred megabytes back to the system and getting them again, page by page,
// takes longer than computing on them.
void KeepFreedMemory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, 64 << 20);
}

// register(threads)
napi_value RegisterAll(napi_env env, napi_callback_info info) {
  static bool registered = false;
  size_t count = 1;
  napi_value argument;
  int32_t threads = 1;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  napi_get_value_int32(env, argument, &threads);
  if (registered) return nullptr;
  try {
    KeepFreedMemory();
    SetThreads(threads);
    RegisterRmsNorm();
    RegisterHeads();
    RegisterGate();
    RegisterResidual();
    RegisterSoftmax();
    RegisterCrossEntropy();
    RegisterOrthogonal();
    RegisterOptimizer();
    registered = true;
  } catch (const std::exception &error) {
    napi_throw_error(env, nullptr, error.what());
  }
  return nullptr;
}

}  // namespace
}  // namespace elf

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "register", NAPI_AUTO_LENGTH, elf::RegisterAll, nullptr, &function);
  napi_set_named_property(env, exports, "register", function);
  return exports;
}
