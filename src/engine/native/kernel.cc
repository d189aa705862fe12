#include "kernel.h"

#include <string>

namespace elf {

Run::~Run() {
  for (TF_Tensor *tensor : inputs_)
    if (tensor != nullptr) TF_DeleteTensor(tensor);
  for (TF_Tensor *tensor : outputs_) TF_DeleteTensor(tensor);
  TF_DeleteStatus(status_);
}

TF_Tensor *Run::Tensor(int index) {
  if (static_cast<size_t>(index) >= inputs_.size()) inputs_.resize(index + 1, nullptr);
  if (inputs_[index] == nullptr) TF_GetInput(context_, index, &inputs_[index], status_);
  return inputs_[index];
}

int64_t Run::Axis(int index, int axis) {
  const int rank = TF_NumDims(Tensor(index));
  const int at = axis < 0 ? rank + axis : axis;
  return at >= 0 && at < rank ? TF_Dim(Tensor(index), at) : 1;
}

std::vector<int64_t> Run::Shape(int index) {
  std::vector<int64_t> shape(TF_NumDims(Tensor(index)));
  for (size_t axis = 0; axis < shape.size(); axis++) shape[axis] = TF_Dim(Tensor(index), static_cast<int>(axis));
  return shape;
}

void *Run::Allocate(int index, const std::vector<int64_t> &shape, TF_DataType type) {
  int64_t count = 1;
  for (int64_t length : shape) count *= length;
  TF_Tensor *tensor = TF_AllocateOutput(context_, index, type, shape.data(), static_cast<int>(shape.size()),
                                        count * TF_DataTypeSize(type), status_);
  if (TF_GetCode(status_) != TF_OK) throw std::runtime_error(TF_Message(status_));
  outputs_.push_back(tensor);
  return TF_TensorData(tensor);
}

float *Run::OutputLike(int index, int input) {
  TF_Tensor *like = Tensor(input);
  std::vector<int64_t> shape(TF_NumDims(like));
  for (size_t axis = 0; axis < shape.size(); axis++) shape[axis] = TF_Dim(like, static_cast<int>(axis));
  return static_cast<float *>(Allocate(index, shape, TF_FLOAT));
}

void Fail(TF_OpKernelContext *context, const char *message) {
  TF_Status *status = TF_NewStatus();
  TF_SetStatus(status, TF_INVALID_ARGUMENT, message);
  TF_OpKernelContext_Failure(context, status);
  TF_DeleteStatus(status);
}

void RegisterEntry(const char *name, Names inputs, Names outputs, Names attributes, void (*entry)(void *, TF_OpKernelContext *)) {
  TF_Status *status = TF_NewStatus();
  TF_OpDefinitionBuilder *definition = TF_NewOpDefinitionBuilder(name);
  for (const char *attribute : attributes) TF_OpDefinitionBuilderAddAttr(definition, attribute);
  for (const char *input : inputs) TF_OpDefinitionBuilderAddInput(definition, input);
  for (const char *output : outputs) TF_OpDefinitionBuilderAddOutput(definition, output);
  // Some write into their inputs: no run may be left out.
  TF_OpDefinitionBuilderSetIsStateful(definition, true);
  TF_RegisterOpDefinition(definition, status);
  if (TF_GetCode(status) == TF_OK) {
    TF_RegisterKernelBuilder(name, TF_NewKernelBuilder(name, "CPU", nullptr, entry, nullptr), status);
  }
  const std::string message = TF_GetCode(status) == TF_OK ? "" : TF_Message(status);
  TF_DeleteStatus(status);
  if (!message.empty()) throw std::runtime_error(message);
}

}  // namespace elf
