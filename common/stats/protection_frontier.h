// Which parts of a memory to protect so that least is lost for the bits that it costs: of all
// choices, those that no other beats.
//
// A part (a target, or the bits of one) is protected by steps: not at all, or at one of several
// costs, each with the loss that is left. The loss of a choice is the sum of what its parts have
// left: losses are taken to add up. A choice is beaten by another that costs no more and loses no
// more, and one of both less.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace bitquake {

struct ProtectionStep {
  int64_t bits = 0;  // that are protected
  double loss = 0;   // that is left; any unit
};

// The steps of a part: the first costs nothing, each next more.
using ProtectionPart = std::vector<ProtectionStep>;

struct ProtectionChoice {
  int64_t bits = 0;
  double loss = 0;         // sum of the parts', in their order
  std::vector<int> steps;  // of each part
};

// The choices that none beats, by ascending bits and so by descending loss; of equal bits and loss
// one, the first in the order of steps. The first protects nothing, unless protecting something is
// for free.
//
// Exact, by dynamic programming over parts (Nemhauser & Ullmann 1969): a choice for the first parts
// that is beaten stays so whatever the others do, since sums keep the order. Time and memory grow
// with the choices kept, which are few where parts come in few sizes. Errors: InvalidArgument for a
// part without steps, or out of order; ResourceExhausted if more than `max_kept` must be kept.
absl::StatusOr<std::vector<ProtectionChoice>> ProtectionFrontier(
    absl::Span<const ProtectionPart> parts, size_t max_kept = size_t{1} << 24);

}  // namespace bitquake
