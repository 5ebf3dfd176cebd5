// The shapes of a checkpoint's tensors, by name, to read a network's sizes from.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/model/architecture.h"

namespace bitquake {

class CheckpointShapes {
 public:
  // `tensors` outlives this object.
  explicit CheckpointShapes(const std::vector<TensorInfo>& tensors);

  bool Has(absl::string_view name) const { return shapes_.count(name) > 0; }

  // One side of a tensor that gives the network a size. Errors: InvalidArgument if it is missing,
  // has not that many dimensions, or a side that no network has.
  absl::StatusOr<int> Side(absl::string_view name, size_t dimensions, size_t axis) const;

  // How many of prefix0suffix, prefix1suffix, ... there are.
  int Count(absl::string_view prefix, absl::string_view suffix) const;

 private:
  std::map<absl::string_view, const std::vector<int64_t>*> shapes_;
};

// Errors: InvalidArgument if config.json states another value than the weights have.
template <typename T>
absl::Status CheckStated(absl::string_view field, const std::optional<T>& stated, T found) {
  if (stated && *stated != found) {
    return absl::InvalidArgumentError(
        absl::StrCat("config.json: ", field, " is ", *stated, ", but the weights have ", found,
                     "; correct it, or take the weights that belong to it"));
  }
  return absl::OkStatus();
}

// Of mlp_ratio, whose product with the width is truncated, as timm does.
absl::Status CheckMlpRatio(const std::optional<double>& stated, int width, int hidden);

}  // namespace bitquake
