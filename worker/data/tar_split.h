// A split of a data set as WebDataset tars, listed in _info.json as timm/imagenet-1k-wds lists
// them:
//
//   {"splits": {"validation": {"name": "validation",
//                              "filenames": ["imagenet1k-validation-00.tar", ...],
//                              "shard_lengths": [782, ...], "num_samples": 50000}}}
//
// An image and its class are members with one key: "ILSVRC2012_val_00000293.jpg" (or .jpeg, .png;
// in any case) and ".cls", a class number as text. Other members are passed over.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/data/sample.h"

namespace bitquake {

inline constexpr char kInfoFile[] = "_info.json";

struct TarSplit {
  std::string folder;
  std::vector<std::string> files;           // tars below the folder, in order
  std::vector<int64_t> shard_lengths = {};  // samples of each, if stated
  std::optional<int64_t> num_samples = {};
};

// From `folder`/_info.json the split "validation", or the only one; without _info.json, all *.tar
// by name; nothing without either. Errors: InvalidArgument (a malformed _info.json, or one that
// names files outside of the folder).
absl::StatusOr<std::optional<TarSplit>> FindTarSplit(const std::string& folder);

// In shard order, then in the order within the shard. Errors, naming the shard and the key:
// NotFound (a shard); InvalidArgument (a truncated or damaged tar, an image without a label or a
// label without an image, a label that is no number, other counts than _info.json states).
absl::StatusOr<std::vector<Sample>> ReadTarSamples(const TarSplit& split);

}  // namespace bitquake
