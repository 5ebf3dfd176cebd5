#include "common/fault/fault_list.h"

#include <cmath>
#include <utility>

#include "common/base/digest.h"
#include "common/base/status_macros.h"
#include "common/fault/distinct_bits.h"
#include "common/fault/listed_bits.h"
#include "common/fault/target_cut.h"

namespace bitquake {
namespace {

using Kind = FaultModel::Kind;

uint32_t WholeWord(const NumberFormat& format) { return ~uint32_t{0} >> (32 - format.bits); }

// Each faulty bit becomes `length` from it upwards; those beyond the word are no position of it.
void Lengthen(int length, std::vector<WordFault>* faults) {
  for (WordFault& fault : *faults) {
    const uint32_t begun = fault.mask;
    for (int i = 1; i < length; ++i) {
      fault.mask |= begun << i;
    }
  }
}

// What the model draws at a rate in one whole tensor, before it is cut to positions.
std::vector<WordFault> DrawTensor(const FaultSampler& sampler, const SurfaceTensor& tensor,
                                  const FaultModel& model, const NumberFormat& format,
                                  uint32_t trial, double ber) {
  const WordArray words = {tensor.name, tensor.words(), format.bits};
  if (model.kind == Kind::kWord) {
    return sampler.SampleWords(words, trial, ber);
  }
  std::vector<WordFault> drawn = sampler.Sample(words, trial, ber);
  if (model.kind == Kind::kBurst) {
    Lengthen(model.burst_length, &drawn);
  }
  return drawn;
}

// The listed bits, at `positions` of the target.
absl::StatusOr<FaultList> ListedFaults(const Surface& surface, const Target& target,
                                       const FaultModel& model, uint32_t positions) {
  ASSIGN_OR_RETURN(FaultList listed, FindListedBits(surface, model.list));
  std::vector<std::vector<WordFault>> by_tensor(surface.size());
  for (TensorFaults& tensor : listed.tensors) {
    by_tensor[tensor.tensor] = std::move(tensor.faults);
  }
  return DrawWithin(surface, target, positions,
                    [&](int tensor) { return std::move(by_tensor[tensor]); });
}

void Stick(bool at_one, FaultList* list) {
  list->effect = FaultList::Effect::kSet;
  for (TensorFaults& tensor : list->tensors) {
    for (WordFault& fault : tensor.faults) {
      fault.value = at_one ? fault.mask : 0;
    }
  }
}

}  // namespace

int64_t FaultList::flips() const {
  int64_t sum = 0;
  for (const TensorFaults& tensor : tensors) {
    for (const WordFault& fault : tensor.faults) {
      sum += __builtin_popcount(fault.mask);
    }
  }
  return sum;
}

std::vector<int64_t> FaultList::FlipsPerBit(int bits_per_word) const {
  std::vector<int64_t> flips(bits_per_word);
  for (const TensorFaults& tensor : tensors) {
    for (const WordFault& fault : tensor.faults) {
      for (uint32_t left = fault.mask; left != 0; left &= left - 1) {
        ++flips[__builtin_ctz(left)];
      }
    }
  }
  return flips;
}

std::string FaultList::Digest(const Surface& surface) const {
  Xxh3 digest;
  for (const TensorFaults& tensor : tensors) {
    digest.UpdateText(surface[tensor.tensor].name);
    digest.UpdateValue<uint64_t>(tensor.faults.size());
    for (const WordFault& fault : tensor.faults) {
      digest.UpdateValue<uint64_t>(fault.index);
      digest.UpdateValue<uint32_t>(fault.mask);
      if (effect == Effect::kSet) {
        digest.UpdateValue<uint32_t>(fault.value);
      }
    }
  }
  return digest.Hex();
}

absl::StatusOr<FaultList> DrawFaults(const Surface& surface, const Target& target,
                                     const FaultModel& model, const NumberFormat& format,
                                     uint64_t seed, uint32_t trial, double ber) {
  RETURN_IF_ERROR(CheckFaultModel(model, format));
  const uint32_t positions = model.PositionMask() & target.positions & WholeWord(format);
  if (model.kind == Kind::kList) {
    return ListedFaults(surface, target, model, positions);
  }
  const FaultSampler sampler(seed);
  FaultList list;
  if (model.sampling == FaultModel::Sampling::kBernoulli) {
    list = DrawWithin(surface, target, positions, [&](int tensor) {
      return DrawTensor(sampler, surface[tensor], model, format, trial, ber);
    });
  } else {
    const int64_t count =
        model.sampling == FaultModel::Sampling::kCount
            ? model.count
            : std::llround(ber * static_cast<double>(ExposedBits(target, format, model)));
    ASSIGN_OR_RETURN(
        list, DrawDistinctBits(sampler, surface, target, format.bits, positions, count, trial));
  }
  if (model.kind == Kind::kStuckAt0 || model.kind == Kind::kStuckAt1) {
    Stick(model.kind == Kind::kStuckAt1, &list);
  } else if (model.kind == Kind::kWord) {
    list.effect = FaultList::Effect::kSet;
  }
  return list;
}

absl::Status CheckFaults(const Surface& surface, const std::vector<Target>& targets,
                         const FaultModel& model, const NumberFormat& format) {
  RETURN_IF_ERROR(CheckFaultModel(model, format));
  if (model.kind == Kind::kList) {
    return FindListedBits(surface, model.list).status();
  }
  if (model.sampling == FaultModel::Sampling::kCount) {
    for (const Target& target : targets) {
      RETURN_IF_ERROR(CheckCount(target, ExposedBits(target, format, model), model.count));
    }
  }
  return absl::OkStatus();
}

}  // namespace bitquake
