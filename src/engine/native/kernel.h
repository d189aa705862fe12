// The part of libtensorflow's C interface that kernels need, in the shape they need it.
#pragma once

#include <tensorflow/c/kernels.h>
#include <tensorflow/c/ops.h>
#include <tensorflow/c/tf_status.h>
#include <tensorflow/c/tf_tensor.h>

#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <vector>

namespace elf {

// One run of a kernel: its inputs as flat arrays, its outputs by size. All tensors are float unless said otherwise.
class Run {
 public:
  explicit Run(TF_OpKernelContext *context) : context_(context), status_(TF_NewStatus()) {}
  ~Run();

  // The number of inputs; those of a list count each.
  int Inputs() { return TF_NumInputs(context_); }

  // The values of input `index`.
  template <typename T = float>
  T *Input(int index) {
    return static_cast<T *>(TF_TensorData(Tensor(index)));
  }

  // The number of values of input `index`.
  int64_t Size(int index) { return TF_TensorElementCount(Tensor(index)); }

  // Length of an axis of input `index`; negative axes count from the last.
  int64_t Axis(int index, int axis);

  // The lengths of all axes of input `index`.
  std::vector<int64_t> Shape(int index);

  // A new output tensor.
  template <typename T = float>
  T *Output(int index, const std::vector<int64_t> &shape, TF_DataType type = TF_FLOAT) {
    return static_cast<T *>(Allocate(index, shape, type));
  }

  // A new output tensor of the shape of an input.
  float *OutputLike(int index, int input);

  // Ends the run with an error unless `holds`.
  static void Require(bool holds, const char *what) {
    if (!holds) throw std::invalid_argument(what);
  }

 private:
  TF_Tensor *Tensor(int index);
  void *Allocate(int index, const std::vector<int64_t> &shape, TF_DataType type);

  TF_OpKernelContext *context_;
  TF_Status *status_;
  std::vector<TF_Tensor *> inputs_;
  std::vector<TF_Tensor *> outputs_;
};

// Ends a run with an error of TensorFlow.
void Fail(TF_OpKernelContext *context, const char *message);

// What TensorFlow calls; an exception becomes the operation's error.
template <void (*compute)(Run &)>
void Entry(void *, TF_OpKernelContext *context) {
  try {
    Run run(context);
    compute(run);
  } catch (const std::exception &error) {
    Fail(context, error.what());
  }
}

typedef std::initializer_list<const char *> Names;

// Registers an operation for the CPU. `inputs`, `outputs` and `attributes` are "name: type" each.
void RegisterEntry(const char *name, Names inputs, Names outputs, Names attributes, void (*entry)(void *, TF_OpKernelContext *));

template <void (*compute)(Run &)>
void Register(const char *name, Names inputs, Names outputs, Names attributes = {}) {
  RegisterEntry(name, inputs, outputs, attributes, Entry<compute>);
}

}  // namespace elf
