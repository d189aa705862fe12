// Holds back what is written to standard error while a library is loaded, and returns it as text.
//
// libtensorflow prints a notice on oneDNN from its static initialisers, before any setting can reach its log.
#include <node_api.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace {

int saved_stderr = -1;
std::FILE *held = nullptr;

// Starts holding back; does nothing where no temporary file can be had.
napi_value Begin(napi_env env, napi_callback_info info) {
  if (held != nullptr || (held = std::tmpfile()) == nullptr) return nullptr;
  std::fflush(stderr);
  saved_stderr = dup(STDERR_FILENO);
  dup2(fileno(held), STDERR_FILENO);
  return nullptr;
}

std::string TakeHeld() {
  std::string text;
  char buffer[4096];
  std::rewind(held);
  for (size_t read; (read = std::fread(buffer, 1, sizeof buffer, held)) > 0;) text.append(buffer, read);
  std::fclose(held);
  held = nullptr;
  return text;
}

// Stops holding back and returns what was written meanwhile.
napi_value End(napi_env env, napi_callback_info info) {
  std::string text;
  if (held != nullptr) {
    std::fflush(stderr);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    text = TakeHeld();
  }
  napi_value result;
  napi_create_string_utf8(env, text.data(), text.size(), &result);
  return result;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value begin, end;
  napi_create_function(env, "begin", NAPI_AUTO_LENGTH, Begin, nullptr, &begin);
  napi_create_function(env, "end", NAPI_AUTO_LENGTH, End, nullptr, &end);
  napi_set_named_property(env, exports, "begin", begin);
  napi_set_named_property(env, exports, "end", end);
  return exports;
}
