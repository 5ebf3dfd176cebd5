#include "worker/engine/word_memory.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/engine/host_memory.h"

namespace bitquake {
namespace {

// Tensors begin at multiples of this many words, as matrix products like their operands.
constexpr int64_t kAlignment = 256;

at::ScalarType TypeOfWords(int bytes) {
  return bytes == 1 ? at::kByte : bytes == 2 ? at::kShort : at::kInt;
}

// So that a NaN that is golden's equals itself.
at::Tensor Bits(const at::Tensor& values) {
  return values.view(values.element_size() == 4 ? at::kInt : at::kShort);
}

}  // namespace

WordMemory::WordMemory(const StoredWords* golden, at::Device device, at::ScalarType type,
                       std::vector<bool> as_integers)
    : golden_(golden), device_(device), type_(type), as_integers_(std::move(as_integers)) {
  int64_t size = 0;
  for (int t = 0; t < golden_->tensor_count(); ++t) {
    first_.push_back(size);
    size += (golden_->count(t) + kAlignment - 1) / kAlignment * kAlignment;
  }
  const int bytes = golden_->word_bytes();
  at::Tensor words = at::zeros({size}, TypeOfWords(bytes));
  at::Tensor values = at::zeros({size}, at::kFloat);
  for (int t = 0; t < golden_->tensor_count(); ++t) {
    std::memcpy(static_cast<char*>(words.mutable_data_ptr()) + first_[t] * bytes, golden_->data(t),
                golden_->count(t) * bytes);
    float* value = values.mutable_data_ptr<float>() + first_[t];
    for (int64_t i = 0; i < golden_->count(t); ++i) {
      value[i] = golden_->ValueOf(t, i, golden_->word(t, i), as_integers_[t]);
    }
  }
  golden_words_ = words.to(device_);
  golden_values_ = values.to(device_).to(type_);
  words_ = golden_words_.clone();
  values_ = golden_values_.clone();
  misses_ = at::zeros({}, at::TensorOptions(at::kLong).device(device_));
}

at::Tensor WordMemory::values(int tensor) const {
  return values_.narrow(0, first_[tensor], golden_->count(tensor)).view(golden_->shape(tensor));
}

WordMemory::Staged WordMemory::Stage(const FaultList& flips) const {
  int64_t count = 0;
  for (const TensorFaults& hit : flips.tensors) {
    count += static_cast<int64_t>(hit.faults.size());
  }
  const at::Tensor places = HostTensor({count}, at::kLong, device_);
  const at::Tensor masks = HostTensor({count}, at::kInt, device_);
  const at::Tensor faulty = HostTensor({count}, at::kFloat, device_);
  int64_t* place = places.mutable_data_ptr<int64_t>();
  int32_t* mask = masks.mutable_data_ptr<int32_t>();
  float* value = faulty.mutable_data_ptr<float>();
  for (const TensorFaults& hit : flips.tensors) {
    for (const WordFault& fault : hit.faults) {
      const uint32_t word = golden_->word(hit.tensor, fault.index) ^ fault.mask;
      *place++ = first_[hit.tensor] + fault.index;
      *mask++ = static_cast<int32_t>(fault.mask);
      *value++ = golden_->ValueOf(hit.tensor, fault.index, word, as_integers_[hit.tensor]);
    }
  }
  return {Upload(places, device_), Upload(masks, device_).to(words_.scalar_type()),
          Upload(faulty, device_).to(type_)};
}

void WordMemory::Patch(const Staged& staged) {
  const at::Tensor before = words_.index_select(0, staged.places);
  words_.index_copy_(0, staged.places, before.bitwise_xor(staged.masks));
  values_.index_copy_(0, staged.places, staged.faulty_values);
  const at::Tensor changed = words_.index_select(0, staged.places)
                                 .bitwise_xor_(golden_words_.index_select(0, staged.places));
  misses_.add_(changed.ne(staged.masks).sum());
}

void WordMemory::Undo(const Staged& staged) {
  // From golden, not by XOR: right also after a patch that failed half-way.
  words_.index_copy_(0, staged.places, golden_words_.index_select(0, staged.places));
  values_.index_copy_(0, staged.places, golden_values_.index_select(0, staged.places));
}

absl::Status WordMemory::Prove() {
  const auto misses = misses_.item<int64_t>();
  misses_.zero_();
  if (misses > 0) {
    return absl::DataLossError(
        absl::StrCat(misses, " words on the device did not flip as their faults say"));
  }
  if (!at::equal(words_, golden_words_) || !at::equal(Bits(values_), Bits(golden_values_))) {
    return absl::DataLossError(
        "weights on the device differ from those loaded after all trials were undone");
  }
  return absl::OkStatus();
}

}  // namespace bitquake
