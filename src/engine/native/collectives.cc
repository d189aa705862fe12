// The addon for training on several processes: sums over all of them, by TensorFlow's own collective operations.
//
// It has a TensorFlow context of its own, beside the one whose tensors the models compute with: enabling collectives replaces
// a context's devices, and a tensor that lies on an old one would be lost. What is summed are arrays of the host.
#include <node_api.h>
#include <tensorflow/c/c_api_experimental.h>
#include <tensorflow/c/eager/c_api.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdlib>
#include <cstring>
#include <string>

namespace {

TFE_Context *context = nullptr;

// The listening socket of this process on `port`, or -1.
int ListeningSocket(int port) {
  DIR *folder = opendir("/proc/self/fd");
  int found = -1;
  for (dirent *entry; folder != nullptr && found < 0 && (entry = readdir(folder)) != nullptr;) {
    const int descriptor = std::atoi(entry->d_name);
    int listens = 0;
    sockaddr_storage address = {};
    socklen_t flag_size = sizeof listens, address_size = sizeof address;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &flag_size) != 0 || !listens) continue;
    if (getsockname(descriptor, reinterpret_cast<sockaddr *>(&address), &address_size) != 0) continue;
    // The port lies at the same place in both kinds of address.
    if (address.ss_family != AF_INET && address.ss_family != AF_INET6) continue;
    if (ntohs(reinterpret_cast<sockaddr_in *>(&address)->sin_port) == port) found = descriptor;
  }
  if (folder != nullptr) closedir(folder);
  return found;
}

// A status that is deleted when its scope ends.
class Status {
 public:
  Status() : status_(TF_NewStatus()) {}
  ~Status() { TF_DeleteStatus(status_); }
  operator TF_Status *() const { return status_; }
  bool ok() const { return TF_GetCode(status_) == TF_OK; }

 private:
  TF_Status *status_;
};

// A handle that is deleted when its scope ends.
class Handle {
 public:
  Handle() = default;
  ~Handle() {
    if (handle_ != nullptr) TFE_DeleteTensorHandle(handle_);
  }
  // Of a tensor over `data`, which outlives the handle.
  Handle(TF_DataType type, const int64_t *shape, int rank, void *data, size_t bytes, TF_Status *status) {
    TF_Tensor *tensor = TF_NewTensor(type, shape, rank, data, bytes, [](void *, size_t, void *) {}, nullptr);
    handle_ = TFE_NewTensorHandle(tensor, status);
    TF_DeleteTensor(tensor);
  }
  TFE_TensorHandle *get() const { return handle_; }
  TFE_TensorHandle **address() { return &handle_; }

 private:
  TFE_TensorHandle *handle_ = nullptr;
};

// Work on another thread, and the promise that waits for it.
struct Work {
  virtual ~Work() = default;
  virtual void Run(TF_Status *status) = 0;

  napi_async_work work = nullptr;
  napi_deferred deferred = nullptr;
  napi_ref array = nullptr;
  TF_Code code = TF_OK;
  std::string message;
};

// Σ over the processes of a group, in place.
struct Sum : Work {
  TF_DataType type;
  void *data;
  int64_t count;
  int32_t group_size, instance_key;

  void Run(TF_Status *status) override {
    const size_t bytes = count * TF_DataTypeSize(type);
    int32_t group_key = 1;
    Handle input(type, &count, 1, data, bytes, status), output;
    Handle size(TF_INT32, nullptr, 0, &group_size, sizeof(int32_t), status);
    Handle group(TF_INT32, nullptr, 0, &group_key, sizeof(int32_t), status);
    Handle instance(TF_INT32, nullptr, 0, &instance_key, sizeof(int32_t), status);
    TFE_Op *op = TFE_NewOp(context, "CollectiveReduceV2", status);
    if (op == nullptr) return;
    for (const Handle *each : {&input, &size, &group, &instance})
      if (TF_GetCode(status) == TF_OK) TFE_OpAddInput(op, each->get(), status);
    TFE_OpSetAttrType(op, "T", type);
    TFE_OpSetAttrString(op, "merge_op", "Add", 3);
    TFE_OpSetAttrString(op, "final_op", "Id", 2);
    TFE_OpSetAttrString(op, "communication_hint", "ring", 4);
    int outputs = 1;
    if (TF_GetCode(status) == TF_OK) TFE_Execute(op, output.address(), &outputs, status);
    TFE_DeleteOp(op);
    if (TF_GetCode(status) == TF_OK) CopyBack(output.get(), bytes, status);
  }

 private:
  void CopyBack(TFE_TensorHandle *handle, size_t bytes, TF_Status *status) {
    TF_Tensor *sum = TFE_TensorHandleResolve(handle, status);
    if (sum == nullptr) return;
    std::memcpy(data, TF_TensorData(sum), bytes);
    TF_DeleteTensor(sum);
  }
};

// Whether another process answers in time.
struct Check : Work {
  std::string task;
  int64_t milliseconds;
  void Run(TF_Status *status) override { TFE_CollectiveOpsCheckPeerHealth(context, task.c_str(), milliseconds, status); }
};

void Execute(napi_env, void *data) {
  Work *work = static_cast<Work *>(data);
  Status status;
  work->Run(status);
  work->code = TF_GetCode(status);
  work->message = TF_Message(status);
}

void Complete(napi_env env, napi_status, void *data) {
  Work *work = static_cast<Work *>(data);
  napi_value result, code, message;
  if (work->code == TF_OK) {
    napi_get_undefined(env, &result);
    napi_resolve_deferred(env, work->deferred, result);
  } else {
    const std::string number = std::to_string(work->code);
    napi_create_string_utf8(env, number.data(), number.size(), &code);
    napi_create_string_utf8(env, work->message.data(), work->message.size(), &message);
    napi_create_error(env, code, message, &result);
    napi_reject_deferred(env, work->deferred, result);
  }
  if (work->array != nullptr) napi_delete_reference(env, work->array);
  napi_delete_async_work(env, work->work);
  delete work;
}

napi_value Throw(napi_env env, const char *message) {
  napi_throw_error(env, nullptr, message);
  return nullptr;
}

napi_value Start(napi_env env, Work *work) {
  napi_value promise, name;
  napi_create_string_utf8(env, "elf-streams collective", NAPI_AUTO_LENGTH, &name);
  napi_create_promise(env, &work->deferred, &promise);
  napi_create_async_work(env, nullptr, name, Execute, Complete, work, &work->work);
  napi_queue_async_work(env, work->work);
  return promise;
}

bool Arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values) {
  size_t given = count;
  napi_get_cb_info(env, info, &given, values, nullptr, nullptr);
  return given == count;
}

std::string Text(napi_env env, napi_value value) {
  size_t length = 0;
  napi_get_value_string_utf8(env, value, nullptr, 0, &length);
  std::string text(length, '\0');
  napi_get_value_string_utf8(env, value, &text[0], length + 1, &length);
  return text;
}

// open(serverDefinition: Uint8Array): starts this process's server; once a process.
napi_value Open(napi_env env, napi_callback_info info) {
  napi_value definition;
  napi_typedarray_type type;
  size_t length = 0;
  void *data = nullptr;
  if (context != nullptr) return Throw(env, "collectives are open already");
  if (!Arguments(env, info, 1, &definition) ||
      napi_get_typedarray_info(env, definition, &type, &length, &data, nullptr, nullptr) != napi_ok)
    return Throw(env, "open takes the bytes of a server definition");
  Status status;
  TFE_ContextOptions *options = TFE_NewContextOptions();
  // device_count { "CPU": 1 "GPU": 0 }: no memory of a GPU is taken.
  static const char config[] = "\x0a\x07\x0a\x03" "CPU\x10\x01\x0a\x07\x0a\x03" "GPU\x10\x00";
  TFE_ContextOptionsSetConfig(options, config, sizeof config - 1, status);
  TFE_Context *made = status.ok() ? TFE_NewContext(options, status) : nullptr;
  TFE_DeleteContextOptions(options);
  if (status.ok()) TFE_EnableCollectiveOps(made, data, length, status);
  if (!status.ok()) return Throw(env, TF_Message(status));
  context = made;
  return nullptr;
}

// keepOnLoopback(port: number): boolean, whether the server now takes connections from this machine alone. TensorFlow's own
// server listens on all interfaces and asks nobody who they are.
napi_value KeepOnLoopback(napi_env env, napi_callback_info info) {
  napi_value argument, result;
  int32_t port = 0;
  if (!Arguments(env, info, 1, &argument) || napi_get_value_int32(env, argument, &port) != napi_ok)
    return Throw(env, "keepOnLoopback takes a port");
  const int listening = ListeningSocket(port);
  const bool kept = listening >= 0 && setsockopt(listening, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2) == 0;
  napi_get_boolean(env, kept, &result);
  return result;
}

// sum(array: Float32Array | Int32Array, groupSize: number, instanceKey: number): Promise<void>
napi_value SumOverGroup(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  napi_typedarray_type type;
  size_t length = 0;
  Sum *sum = new Sum;
  const bool right = Arguments(env, info, 3, arguments) &&
                     napi_get_typedarray_info(env, arguments[0], &type, &length, &sum->data, nullptr, nullptr) == napi_ok &&
                     (type == napi_float32_array || type == napi_int32_array) &&
                     napi_get_value_int32(env, arguments[1], &sum->group_size) == napi_ok &&
                     napi_get_value_int32(env, arguments[2], &sum->instance_key) == napi_ok;
  if (!right || context == nullptr) {
    delete sum;
    return Throw(env, right ? "collectives are not open" : "sum takes an array of 32-bit numbers, the group's size and a key");
  }
  sum->type = type == napi_float32_array ? TF_FLOAT : TF_INT32;
  sum->count = static_cast<int64_t>(length);
  napi_create_reference(env, arguments[0], 1, &sum->array);
  return Start(env, sum);
}

// checkPeer(task: string, milliseconds: number): Promise<void>
napi_value CheckPeer(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  Check *check = new Check;
  if (!Arguments(env, info, 2, arguments) || napi_get_value_int64(env, arguments[1], &check->milliseconds) != napi_ok ||
      context == nullptr) {
    delete check;
    return Throw(env, "checkPeer takes a task and milliseconds, after open");
  }
  check->task = Text(env, arguments[0]);
  return Start(env, check);
}

// abort(why: string): ends all sums under way with an error, and all later ones.
napi_value Abort(napi_env env, napi_callback_info info) {
  napi_value why;
  if (!Arguments(env, info, 1, &why) || context == nullptr) return nullptr;
  Status status;
  TF_SetStatus(status, TF_ABORTED, Text(env, why).c_str());
  TFE_AbortCollectiveOps(context, status);
  return nullptr;
}

}  // namespace

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"open", nullptr, Open, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"keepOnLoopback", nullptr, KeepOnLoopback, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"sum", nullptr, SumOverGroup, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"checkPeer", nullptr, CheckPeer, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"abort", nullptr, Abort, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
  return exports;
}
