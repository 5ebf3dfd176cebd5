#include "common/stats/protection_frontier.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace bitquake {
namespace {

// A choice for the parts so far; what it was made of lies in the layer of the part before.
struct Partial {
  int64_t bits;
  double loss;
  uint32_t before;
  int step;
};

absl::Status CheckPart(const ProtectionPart& part, size_t number) {
  bool ordered = !part.empty() && part.front().bits == 0;
  for (size_t step = 1; step < part.size() && ordered; ++step) {
    ordered = part[step].bits > part[step - 1].bits;
  }
  return ordered ? absl::OkStatus()
                 : absl::InvalidArgumentError(
                       absl::StrCat("part ", number, ": steps must begin with 0 bits and grow"));
}

// Those of `candidates` that none beats, by ascending bits.
std::vector<Partial> Unbeaten(std::vector<Partial> candidates) {
  std::stable_sort(candidates.begin(), candidates.end(), [](const Partial& a, const Partial& b) {
    return a.bits != b.bits ? a.bits < b.bits : a.loss < b.loss;
  });
  std::vector<Partial> kept;
  for (const Partial& candidate : candidates) {
    if (kept.empty() || candidate.loss < kept.back().loss) {
      kept.push_back(candidate);
    }
  }
  return kept;
}

}  // namespace

absl::StatusOr<std::vector<ProtectionChoice>> ProtectionFrontier(
    absl::Span<const ProtectionPart> parts, size_t max_kept) {
  std::vector<std::vector<Partial>> layers = {{{0, 0, 0, 0}}};
  size_t kept = 1;
  for (size_t number = 0; number < parts.size(); ++number) {
    const absl::Status status = CheckPart(parts[number], number);
    if (!status.ok()) {
      return status;
    }
    const std::vector<Partial>& before = layers.back();
    std::vector<Partial> candidates;
    candidates.reserve(before.size() * parts[number].size());
    for (size_t step = 0; step < parts[number].size(); ++step) {
      const ProtectionStep& added = parts[number][step];
      for (size_t i = 0; i < before.size(); ++i) {
        candidates.push_back({before[i].bits + added.bits, before[i].loss + added.loss,
                              static_cast<uint32_t>(i), static_cast<int>(step)});
      }
    }
    std::vector<Partial> layer = Unbeaten(std::move(candidates));
    kept += layer.size();
    if (kept > max_kept) {
      return absl::ResourceExhaustedError(
          absl::StrCat("more than ", max_kept, " sets of the first ", number + 1, " of ",
                       parts.size(), " parts are worth comparing; choose larger parts"));
    }
    layers.push_back(std::move(layer));
  }
  std::vector<ProtectionChoice> choices;
  for (const Partial& last : layers.back()) {
    ProtectionChoice choice{last.bits, last.loss, std::vector<int>(parts.size())};
    const Partial* at = &last;
    for (size_t number = parts.size(); number > 0; --number) {
      choice.steps[number - 1] = at->step;
      at = &layers[number - 1][at->before];
    }
    choices.push_back(std::move(choice));
  }
  return choices;
}

}  // namespace bitquake
