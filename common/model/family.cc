#include "common/model/family.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace bitquake {
namespace {

constexpr absl::string_view kSupported =
    "supported are timm's vision transformers with class-token pooling (vit_*, deit_*), its Swin "
    "transformers (swin_*), and DeepViT (deepvit_*)";

struct Prefix {
  absl::string_view prefix;
  Family family;
};
constexpr Prefix kPrefixes[] = {{"vit_", Family::kVit},
                                {"deit_", Family::kVit},
                                {"swin_", Family::kSwin},
                                {"deepvit_", Family::kDeepVit}};

// Variants that share a prefix, and the names and shapes of the tensors or nearly, with a network
// of ours, but compute something else.
struct Marker {
  absl::string_view mark;
  absl::string_view what;
};
constexpr Marker kMarkers[] = {
    {"quickgelu", "another activation"}, {"rope", "rotary positions"},
    {"dinov3", "rotary positions"},      {"dinov2", "layer scale"},
    {"_gap", "average pooling"},         {"siglip", "attention pooling"},
    {"relpos", "relative positions"},    {"_rpn", "normalisation after each layer"},
};
constexpr Marker kOtherFamilies[] = {
    {"deit3_", "layer scale"},
    {"swinv2_", "cosine attention and positions of its own"},
};

}  // namespace

FamilyOfName FamilyOf(absl::string_view architecture) {
  for (const Marker& other : kOtherFamilies) {
    if (absl::StartsWith(architecture, other.mark)) {
      return {Family::kTorchScript,
              absl::StrCat("'", other.mark, "' has ", other.what, "; ", kSupported)};
    }
  }
  for (const Prefix& known : kPrefixes) {
    if (!absl::StartsWith(architecture, known.prefix)) {
      continue;
    }
    for (const Marker& marker : kMarkers) {
      if (absl::StrContains(architecture, marker.mark)) {
        return {Family::kTorchScript, absl::StrCat("'", marker.mark, "' marks another network (",
                                                   marker.what, "); ", kSupported)};
      }
    }
    return {known.family, ""};
  }
  return {Family::kTorchScript, std::string(kSupported)};
}

}  // namespace bitquake
