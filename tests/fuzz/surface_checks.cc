#include "tests/fuzz/surface_checks.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "tests/fuzz/must.h"

namespace bitquake {

void MustLieWithin(const Surface& surface, const std::vector<Target>& targets) {
  for (const Target& target : targets) {
    Must(!target.ranges.empty(), "a target has words");
    std::pair<int, int64_t> end = {-1, 0};  // of the range before
    for (const WordRange& range : target.ranges) {
      Must(range.tensor >= 0 && range.tensor < static_cast<int>(surface.size()),
           "a range is of a tensor");
      Must(range.first >= 0 && range.count > 0 &&
               range.count <= surface[range.tensor].words() - range.first,
           "a range lies in its tensor");
      Must(end <= std::pair(range.tensor, range.first), "ranges are ordered and disjoint");
      end = {range.tensor, range.first + range.count};
    }
  }
}

void MustPartition(const Surface& surface, const std::vector<Target>& targets) {
  int64_t words = 0;
  std::map<std::pair<int, int64_t>, int64_t> ranges;
  for (const Target& target : targets) {
    words += target.words();
    for (const WordRange& range : target.ranges) {
      Must(ranges.emplace(std::pair(range.tensor, range.first), range.count).second,
           "no word is in two targets");
    }
  }
  int64_t all = 0;
  for (const SurfaceTensor& tensor : surface) {
    all += tensor.words();
  }
  Must(words == all, "the targets have as many words as the surface");
}

void ExpandPlainGranularities(const Surface& surface, const NumberFormat& format) {
  const bool parts_are_known = std::none_of(surface.begin(), surface.end(), [](const auto& tensor) {
    return tensor.part == Part::kNone;
  });
  for (const Granularity::Kind kind : AllGranularityKinds()) {
    Granularity granularity;
    granularity.kind = kind;
    const absl::StatusOr<std::vector<Target>> targets = ExpandTargets(surface, granularity, format);
    if (!targets.ok()) {
      Must(absl::IsNotFound(targets.status()) || absl::IsInvalidArgument(targets.status()),
           "targets or what the surface lacks");
      continue;
    }
    MustLieWithin(surface, *targets);
    if (kind == Granularity::Kind::kModel || kind == Granularity::Kind::kTensor ||
        (kind == Granularity::Kind::kPart && parts_are_known)) {
      MustPartition(surface, *targets);
    }
  }
}

}  // namespace bitquake
