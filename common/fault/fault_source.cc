#include "common/fault/fault_source.h"

#include <utility>
#include <vector>

#include "common/base/status_macros.h"
#include "common/fault/memory_words.h"
#include "common/fault/sampler.h"
#include "common/fault/target_cut.h"

namespace bitquake {
namespace {

using Scheme = Protection::Scheme;

uint32_t WholeWord(const NumberFormat& format) { return ~uint32_t{0} >> (32 - format.bits); }

// What sets change in golden's words.
FaultList FlipsOf(FaultList faults, const GoldenWords& golden) {
  if (faults.effect == FaultList::Effect::kFlip) {
    return faults;
  }
  FaultList flips;
  for (const TensorFaults& hit : faults.tensors) {
    TensorFaults changed{hit.tensor, {}};
    for (const WordFault& fault : hit.faults) {
      const uint32_t mask = (golden.Word(hit.tensor, fault.index) ^ fault.value) & fault.mask;
      if (mask != 0) {
        changed.faults.push_back({fault.index, mask});
      }
    }
    if (!changed.faults.empty()) {
      flips.tensors.push_back(std::move(changed));
    }
  }
  return flips;
}

// The memory words whose first stored word is in the target.
Target InMemoryWords(const Target& target, const MemoryWords& memory) {
  Target in_memory = target;
  in_memory.ranges.clear();
  for (const WordRange& range : target.ranges) {
    const int64_t first = memory.CountFor(range.first);
    const int64_t end = memory.CountFor(range.first + range.count);
    if (end > first) {
      in_memory.ranges.push_back({range.tensor, first, end - first});
    }
  }
  return in_memory;
}

}  // namespace

absl::StatusOr<FaultSource> FaultSource::Make(const Surface& surface, const FaultModel& model,
                                              const NumberFormat& format) {
  RETURN_IF_ERROR(CheckFaultModel(model, format));
  ASSIGN_OR_RETURN(ProtectedBits protected_bits,
                   ProtectedBits::Find(surface, model.protect, format));
  return FaultSource(surface, model, format, std::move(protected_bits));
}

int64_t FaultSource::ExposedBits(const Target& target) const {
  return bitquake::ExposedBits(Exposed(target), format_, model_);
}

void FaultSource::DrawRedundancy(const Target& target, const FaultSampler& sampler, uint32_t trial,
                                 double ber, std::vector<MemoryFaults>& by_tensor) const {
  // What is drawn in whole tensors, cut to the ranges of `within`, as DrawFaults does.
  const auto draw = [&](const Target& within, uint32_t positions, MemoryPart part, int bits,
                        auto units, std::vector<WordFault> MemoryFaults::*into) {
    for (const TensorRanges& hit : ByTensor(within)) {
      const SurfaceTensor& tensor = (*surface_)[hit.tensor];
      std::vector<WordFault>& kept = by_tensor[hit.tensor].*into;
      for (const WordFault& fault :
           sampler.Sample({tensor.name, units(tensor), bits, part}, trial, ber)) {
        const uint32_t mask = fault.mask & positions & hit.PositionsAt(fault.index);
        if (mask != 0) {
          kept.push_back({fault.index, mask});
        }
      }
    }
  };
  const auto words = [](const SurfaceTensor& tensor) { return tensor.words(); };
  const uint32_t whole = WholeWord(format_);
  const uint32_t positions = model_.PositionMask() & target.positions & whole;
  if (model_.protection.scheme == Scheme::kTmr) {
    const uint32_t copied =
        positions & ~static_cast<uint32_t>(uint64_t{whole} >> model_.protection.copied_bits);
    draw(target, copied, MemoryPart::kSecondCopy, format_.bits, words, &MemoryFaults::second_copy);
    draw(target, copied, MemoryPart::kThirdCopy, format_.bits, words, &MemoryFaults::third_copy);
  } else if (positions == whole && model_.protection.scheme == Scheme::kParity) {
    draw(target, 1, MemoryPart::kCheckBits, 1, words, &MemoryFaults::check_bits);
  } else if (positions == whole) {
    const MemoryWords memory = {format_.bits};
    const auto memory_words = [&](const SurfaceTensor& tensor) {
      return memory.CountFor(tensor.words());
    };
    draw(InMemoryWords(target, memory), 0xFF, MemoryPart::kCheckBits, 8, memory_words,
         &MemoryFaults::check_bits);
  }
}

absl::StatusOr<FaultList> FaultSource::Draw(const Target& target, uint64_t seed, uint32_t trial,
                                            double ber, const GoldenWords& golden) const {
  ASSIGN_OR_RETURN(FaultList drawn,
                   DrawFaults(*surface_, Exposed(target), model_, format_, seed, trial, ber));
  if (model_.protection.scheme == Scheme::kNone) {
    return drawn;
  }
  std::vector<MemoryFaults> by_tensor(surface_->size());
  for (TensorFaults& hit : FlipsOf(std::move(drawn), golden).tensors) {
    by_tensor[hit.tensor].flips = std::move(hit.faults);
  }
  if (model_.protection.DrawsRedundancy()) {
    DrawRedundancy(target, FaultSampler(seed), trial, ber, by_tensor);
  }
  FaultList residual;
  for (size_t i = 0; i < by_tensor.size(); ++i) {
    MemoryFaults& faults = by_tensor[i];
    faults.tensor = static_cast<int>(i);
    faults.words = (*surface_)[i].words();
    std::vector<WordFault> flips = ResidualFlips(model_.protection, faults, format_, golden);
    if (!flips.empty()) {
      residual.tensors.push_back({faults.tensor, std::move(flips)});
    }
  }
  return protected_.Without(std::move(residual));
}

}  // namespace bitquake
