// The faults of a model of faults in the tensors of one surface, as the network meets them: drawn,
// kept from protected bits, and passed through the protection scheme.
//
//   ASSIGN_OR_RETURN(const FaultSource source, FaultSource::Make(surface, model, format));
//   ASSIGN_OR_RETURN(const FaultList faults,
//                    source.Draw(target, /*seed=*/2418, /*trial=*/3, 1e-6, golden));
//
// What is drawn nests across bit-error rates and is the same for every scheme, so schemes are
// compared on the same hits of the stored words. What is left after a scheme does not nest: one
// more flip may turn an error that is corrected into one that is not, or a visible one into zero.
//
// A scheme's check bits and copies belong to targets, too: copies of a bit to that bit's; the check
// bit of a word to the word's target; the check bits of a memory word to the target of the first
// stored word in it. Check bits are hit only where all bit positions of a word can be: not in
// targets of single bit positions, nor if the model has `positions`.
//
// A scheme acts on whole memory words. So what it zeroes, or corrects wrongly, may lie outside of
// the target that was hit; but never in protected bits.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/fault/fault_list.h"
#include "common/fault/fault_model.h"
#include "common/fault/golden_words.h"
#include "common/fault/number_format.h"
#include "common/fault/protected_bits.h"
#include "common/fault/protection_schemes.h"
#include "common/fault/target.h"
#include "common/model/surface.h"

namespace bitquake {

class FaultSource {  // thread-safe
 public:
  // `surface` must outlive the result. Errors: as CheckFaultModel and ProtectedBits::Find.
  static absl::StatusOr<FaultSource> Make(const Surface& surface, const FaultModel& model,
                                          const NumberFormat& format);

  // What of a target can be hit where `protect` is not.
  Target Exposed(const Target& target) const { return protected_.Without(target); }
  // The bits of a target's stored words that can be hit. Check bits and copies do not count.
  int64_t ExposedBits(const Target& target) const;

  // What the trial changes. Without a scheme as DrawFaults says; else as flips. Errors: as
  // DrawFaults.
  absl::StatusOr<FaultList> Draw(const Target& target, uint64_t seed, uint32_t trial, double ber,
                                 const GoldenWords& golden) const;

 private:
  FaultSource(const Surface& surface, FaultModel model, const NumberFormat& format,
              ProtectedBits protected_bits)
      : surface_(&surface),
        model_(std::move(model)),
        format_(format),
        protected_(std::move(protected_bits)) {}

  void DrawRedundancy(const Target& target, const FaultSampler& sampler, uint32_t trial, double ber,
                      std::vector<MemoryFaults>& by_tensor) const;

  const Surface* surface_;
  FaultModel model_;
  NumberFormat format_;
  ProtectedBits protected_;
};

}  // namespace bitquake
