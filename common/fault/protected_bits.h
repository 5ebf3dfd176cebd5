// Bits of a surface that never flip: `protect:` of a fault model.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "absl/status/statusor.h"
#include "common/fault/fault_list.h"
#include "common/fault/fault_model.h"
#include "common/fault/number_format.h"
#include "common/fault/target.h"
#include "common/model/surface.h"

namespace bitquake {

class ProtectedBits {  // immutable
 public:
  // Errors: NotFound, the entry quoted: a target that no granularity names in this model (near ones
  // are given), or a pattern that no tensor matches; InvalidArgument: a name that is two different
  // targets'. How many bits a word has is CheckFaultModel's to ask.
  static absl::StatusOr<ProtectedBits> Find(const Surface& surface,
                                            const std::vector<FaultModel::Protected>& protect,
                                            const NumberFormat& format);

  bool none() const { return by_tensor_.empty(); }
  // The bits of a word that are protected.
  uint32_t Of(int tensor, int64_t word) const;
  // The same target without them. A part of a target keeps its name.
  Target Without(const Target& target) const;
  // The same flips without those of protected bits.
  FaultList Without(FaultList flips) const;

 private:
  // What is protected from a word on, until the next entry. There is one of word 0.
  using Intervals = std::map<int64_t, uint32_t>;

  void Add(const WordRange& range, uint32_t positions);

  uint32_t word_ = 0;                   // all bits of one
  std::map<int, Intervals> by_tensor_;  // only those with protected bits
};

}  // namespace bitquake
