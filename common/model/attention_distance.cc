#include "common/model/attention_distance.h"

#include <variant>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"

namespace bitquake {
namespace {

PatchAttention Of(const VitShape& vit) {
  return {vit.depth, vit.heads, vit.prefix_tokens(), vit.grid(), vit.patch};
}

absl::Status Undefined(const Architecture& architecture, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("attention distance is not defined for ", architecture.name, ": ", why,
                   "; set attention_distance to none, or leave the model out"));
}

}  // namespace

absl::StatusOr<PatchAttention> FindPatchAttention(const Architecture& architecture) {
  switch (architecture.family()) {
    case Family::kVit:
      return Of(std::get<VitShape>(architecture.network));
    case Family::kDeepVit:
      return Of(std::get<DeepVitShape>(architecture.network).vit);
    case Family::kSwin:
      return Undefined(architecture,
                       "a Swin transformer attends within windows, which bound the distance");
    case Family::kTorchScript:
      return Undefined(architecture, "where a TorchScript network attends is not known");
  }
  return Undefined(architecture, "unknown family");
}

AttentionDistances SumOf(const std::vector<AttentionDistances>& parts) {
  AttentionDistances sum;
  for (const AttentionDistances& part : parts) {
    sum.heads = part.heads;
    sum.sums.resize(part.sums.size());
    for (size_t i = 0; i < sum.sums.size(); ++i) {
      sum.sums[i].mad += part.sums[i].mad;
      sum.sums[i].renormalised += part.sums[i].renormalised;
    }
  }
  return sum;
}

std::string DigestOf(const AttentionDistances& distances) {
  if (distances.sums.empty()) {
    return "";
  }
  Xxh3 digest;
  digest.UpdateValue<int32_t>(distances.heads);
  for (const HeadDistance& head : distances.sums) {
    digest.UpdateValue<double>(head.mad);
    digest.UpdateValue<double>(head.renormalised);
  }
  return digest.Hex();
}

}  // namespace bitquake
