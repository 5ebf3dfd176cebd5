// Granularities on surfaces of every family.
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/fault/target.h"
#include "tests/fault/family_surfaces.h"
#include "tests/fuzz/input_bytes.h"
#include "tests/fuzz/must.h"
#include "tests/fuzz/surface_checks.h"

namespace bitquake {
namespace {

Granularity TakeGranularity(InputBytes* input) {
  Granularity granularity;
  const std::vector<Granularity::Kind>& kinds = AllGranularityKinds();
  granularity.kind = kinds[input->TakeIndex(kinds.size())];
  for (int n = input->TakeIndex(4); n > 0; --n) {
    granularity.blocks.push_back(input->Take<int8_t>());
  }
  for (int n = input->TakeIndex(4); n > 0; --n) {
    granularity.types.push_back(static_cast<QkvType>(input->TakeIndex(3)));
  }
  granularity.per_block = input->TakeBool();
  for (int n = input->TakeIndex(4); n > 0; --n) {
    granularity.positions.push_back(input->Take<int8_t>());
  }
  granularity.each_position = input->TakeBool();
  granularity.name = input->TakeText();
  granularity.pattern = input->TakeText();
  return granularity;
}

}  // namespace
}  // namespace bitquake

int bitquake::Fuzz(const uint8_t* data, size_t size) {
  static const auto& families = *new std::vector<FamilySurface>(FamilySurfaces());
  static const auto& formats = *new std::vector<NumberFormat>(KnownFormats());
  InputBytes input(data, size);
  const Surface& surface = families[input.TakeIndex(families.size())].surface;
  const NumberFormat& format = formats[input.Take<uint16_t>() % formats.size()];
  const Granularity granularity = TakeGranularity(&input);
  const absl::StatusOr<std::vector<Target>> targets = ExpandTargets(surface, granularity, format);
  if (!targets.ok()) {
    Must(absl::IsNotFound(targets.status()) || absl::IsInvalidArgument(targets.status()),
         "targets, or what is wrong");
    return 0;
  }
  Must(!targets->empty(), "no targets are an error");
  MustLieWithin(surface, *targets);
  for (const Target& target : *targets) {
    Must(ExposedBits(target, format, FaultModel()) <= target.words() * format.bits,
         "a target has no more bits than its words");
    if (granularity.by_position()) {
      Must(ExposedBits(target, format, FaultModel()) == target.words(),
           "of one position, each word has one bit");
    }
  }
  return 0;
}
