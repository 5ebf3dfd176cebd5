#include "worker/engine/stored_words.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/status.h"

namespace bitquake {
namespace {

int Bits(uint32_t word) { return __builtin_popcount(word); }

// Takes in golden's next value; `is_first` of those that are not NaN.
void Widen(float value, uint32_t word, bool is_first, ValueRange& range) {
  if (is_first || value < range.low) {
    range.low = value;
    range.low_word = word;
  }
  if (is_first || value > range.high) {
    range.high = value;
    range.high_word = word;
  }
}

}  // namespace

absl::StatusOr<at::Tensor> StoredWords::Add(const SurfaceTensor& tensor,
                                            absl::Span<const float> weights) {
  absl::StatusOr<QuantizedTensor> quantized =
      Quantize(weights, format_, quantization_, tensor.shape);
  if (!quantized.ok()) {
    return Annotate(quantized.status(), tensor.name);
  }
  Tensor stored;
  stored.name = tensor.name;
  stored.scales = quantized->scales;
  stored.count = static_cast<int64_t>(weights.size());
  stored.values = at::empty(tensor.shape, at::kFloat);
  float* values = stored.values.mutable_data_ptr<float>();
  bool is_first = true;
  for (int64_t i = 0; i < stored.count; ++i) {
    values[i] = Dequantize(quantized->words[i], stored.scales.Of(i), format_);
    if (!std::isnan(values[i])) {
      Widen(values[i], quantized->words[i], std::exchange(is_first, false), stored.range);
    }
  }
  const auto keep = [&](auto words) {
    words.now.assign(quantized->words.begin(), quantized->words.end());
    words.golden = words.now;
    stored.words = std::move(words);
  };
  if (format_.bits <= 8) {
    keep(Words<uint8_t>());
  } else if (format_.bits <= 16) {
    keep(Words<uint16_t>());
  } else {
    keep(Words<uint32_t>());
  }
  tensors_.push_back(std::move(stored));
  return tensors_.back().values;
}

absl::Status StoredWords::Check(const FaultList& faults) const {
  const uint64_t bits = (uint64_t{1} << format_.bits) - 1;
  int last_tensor = -1;
  for (const TensorFaults& hit : faults.tensors) {
    if (hit.tensor <= last_tensor || hit.tensor >= static_cast<int>(tensors_.size())) {
      return absl::InvalidArgumentError(
          absl::StrCat("fault list: tensor ", hit.tensor,
                       " is out of order or not one of the surface's ", tensors_.size()));
    }
    last_tensor = hit.tensor;
    const Tensor& tensor = tensors_[hit.tensor];
    int64_t last_index = -1;
    for (const WordFault& fault : hit.faults) {
      if (fault.index <= last_index || fault.index >= tensor.count) {
        return absl::InvalidArgumentError(
            absl::StrCat("fault list: ", tensor.name, ": word ", fault.index,
                         " is out of order or not one of its ", tensor.count));
      }
      last_index = fault.index;
      if (fault.mask == 0 || (fault.mask & ~bits) != 0) {
        return absl::InvalidArgumentError(
            absl::StrCat("fault list: ", tensor.name, ": word ", fault.index, ": mask ", fault.mask,
                         " holds no bit of a word of ", format_.bits, ", or others"));
      }
      const uint32_t settable = faults.effect == FaultList::Effect::kSet ? fault.mask : 0;
      if ((fault.value & ~settable) != 0) {
        return absl::InvalidArgumentError(
            absl::StrCat("fault list: ", tensor.name, ": word ", fault.index, ": value ",
                         fault.value, " has bits that are not set by mask ", fault.mask));
      }
    }
  }
  return absl::OkStatus();
}

uint32_t StoredWords::Word(int tensor, int64_t index) const {
  return std::visit([index](const auto& words) -> uint32_t { return words.golden[index]; },
                    tensors_[tensor].words);
}

FaultList StoredWords::FlipsOf(const FaultList& sets) const {
  FaultList flips;
  for (const TensorFaults& hit : sets.tensors) {
    TensorFaults changed{hit.tensor, {}};
    std::visit(
        [&](const auto& words) {
          for (const WordFault& fault : hit.faults) {
            const uint32_t mask = (words.golden[fault.index] ^ fault.value) & fault.mask;
            if (mask != 0) {
              changed.faults.push_back({fault.index, mask});
            }
          }
        },
        tensors_[hit.tensor].words);
    if (!changed.faults.empty()) {
      flips.tensors.push_back(std::move(changed));
    }
  }
  return flips;
}

void StoredWords::Xor(const FaultList& flips) {
  for (const TensorFaults& hit : flips.tensors) {
    Tensor& tensor = tensors_[hit.tensor];
    float* values = tensor.values.mutable_data_ptr<float>();
    std::visit(
        [&](auto& words) {
          for (const WordFault& fault : hit.faults) {
            words.now[fault.index] ^= fault.mask;
            values[fault.index] =
                Dequantize(words.now[fault.index], tensor.scales.Of(fault.index), format_);
          }
        },
        tensor.words);
  }
}

absl::StatusOr<std::vector<int64_t>> StoredWords::Patch(const FaultList& flips) {
  Xor(flips);
  std::vector<int64_t> per_bit(format_.bits);
  for (const TensorFaults& hit : flips.tensors) {
    const Tensor& tensor = tensors_[hit.tensor];
    int64_t wanted = 0;
    int64_t realised = 0;
    std::visit(
        [&](const auto& words) {
          for (const WordFault& fault : hit.faults) {
            const uint32_t changed = words.now[fault.index] ^ words.golden[fault.index];
            wanted += Bits(fault.mask);
            realised += Bits(changed);
            for (uint32_t left = changed; left != 0; left &= left - 1) {
              ++per_bit[__builtin_ctz(left)];
            }
          }
        },
        tensor.words);
    if (realised != wanted) {
      return absl::DataLossError(absl::StrCat(tensor.name, ": ", wanted, " bits were to flip, but ",
                                              realised, " differ from golden's words"));
    }
  }
  return per_bit;
}

void StoredWords::Undo(const FaultList& flips) { Xor(flips); }

std::string StoredWords::Digest() const {
  Xxh3 digest;
  for (const Tensor& tensor : tensors_) {
    std::visit(
        [&](const auto& words) {
          digest.Update(words.now.data(), words.now.size() * sizeof(words.now[0]));
        },
        tensor.words);
    digest.Update(tensor.values.const_data_ptr<float>(), tensor.count * sizeof(float));
  }
  return digest.Hex();
}

}  // namespace bitquake
