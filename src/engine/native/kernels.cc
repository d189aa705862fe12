// The addon: registers the kernels with the libtensorflow of this process, once.
#include "kernels.h"

#include <node_api.h>
#ifdef __AMX_BF16__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "normals.h"
#include "pool.h"

namespace elf {
namespace {

// Tile registers are the system's to give: a process asks for them once, for all of its threads.
void AskForTiles() {
#ifdef __AMX_BF16__
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0) throw std::runtime_error("the system gives no tile registers");
#endif
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
    AskForTiles();
    KeepFreedMemory();
    SetThreads(threads);
    RegisterRmsNorm();
    RegisterHeads();
    RegisterGate();
    RegisterResidual();
    RegisterAttention();
    RegisterCrossEntropy();
    RegisterNewtonSchulz();
    RegisterOptimizer();
    RegisterProduct();
    RegisterTrunk();
    RegisterScalarTokens();
    RegisterDecode();
    RegisterCombine();
    RegisterVelocity();
    RegisterMemory();
    registered = true;
  } catch (const std::exception &error) {
    napi_throw_error(env, nullptr, error.what());
  }
  return nullptr;
}

uint32_t Word(napi_env env, napi_value object, const char *name) {
  napi_value value;
  uint32_t word = 0;
  if (napi_get_named_property(env, object, name, &value) == napi_ok) napi_get_value_uint32(env, value, &word);
  return word;
}

// normals(out, key): `out` a Float32Array, `key` its words by name
napi_value FillNormals(napi_env env, napi_callback_info info) {
  size_t count = 2, length = 0;
  napi_value arguments[2];
  napi_typedarray_type type;
  void *out = nullptr;
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  if (count < 2 || napi_get_typedarray_info(env, arguments[0], &type, &length, &out, nullptr, nullptr) != napi_ok || type != napi_float32_array) {
    napi_throw_type_error(env, nullptr, "normals takes a Float32Array and a key");
    return nullptr;
  }
  const auto word = [&](const char *name) { return Word(env, arguments[1], name); };
  Normals({word("key0"), word("key1"), word("indexLow"), word("indexHigh"), word("step")}, static_cast<int64_t>(length), static_cast<float *>(out));
  return nullptr;
}

void Export(napi_env env, napi_value exports, const char *name, napi_callback callback) {
  napi_value function;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
  napi_set_named_property(env, exports, name, function);
}

}  // namespace
}  // namespace elf

NAPI_MODULE_INIT() {
  elf::Export(env, exports, "register", elf::RegisterAll);
  elf::Export(env, exports, "normals", elf::FillNormals);
  return exports;
}
