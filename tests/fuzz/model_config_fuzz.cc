// What a checkpoint is: its config.json, and the names and shapes of its tensors, as the
// coordinator has them from a worker.
//
//   config.json, a zero byte, a line for each tensor: "blocks.0.norm1.weight 128"
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "common/model/architecture.h"
#include "common/model/attention_distance.h"
#include "common/model/surface.h"
#include "tests/fuzz/must.h"
#include "tests/fuzz/surface_checks.h"

namespace bitquake {
namespace {

std::vector<TensorInfo> Tensors(absl::string_view lines) {
  std::vector<TensorInfo> tensors;
  for (const absl::string_view line : absl::StrSplit(lines, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    TensorInfo tensor{words.front(), {}};
    for (size_t i = 1; i < words.size(); ++i) {
      int64_t side = 0;
      if (absl::SimpleAtoi(words[i], &side)) {
        tensor.shape.push_back(side);
      }
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

void Check(absl::string_view config, const std::vector<TensorInfo>& tensors) {
  const absl::StatusOr<Architecture> architecture = DeriveArchitecture(config, tensors);
  if (!architecture.ok()) {
    Must(absl::IsInvalidArgument(architecture.status()), "a refusal is the checkpoint's fault");
    return;
  }
  Must(architecture->num_classes > 0, "a network has classes");
  Must(architecture->preprocessing.height > 0 && architecture->preprocessing.width > 0,
       "a network has an input");
  const auto attention = FindPatchAttention(*architecture);
  Must(attention.ok() ? attention->grid > 0 : absl::IsInvalidArgument(attention.status()),
       "patches, or why there are none");
  const absl::StatusOr<Surface> surface = MakeSurface(*architecture, tensors);
  if (!surface.ok()) {
    Must(absl::IsInvalidArgument(surface.status()), "a surface or why there is none");
    return;
  }
  ExpandPlainGranularities(*surface, NumberFormat{NumberFormat::Kind::kInt, 8});
}

}  // namespace
}  // namespace bitquake

int bitquake::Fuzz(const uint8_t* data, size_t size) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(Text(data, size), absl::MaxSplits(absl::ByChar('\0'), 1));
  Check(parts.first, Tensors(parts.second));
  return 0;
}
