#include "common/model/vit_tensors.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace bitquake {
namespace {

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

// "missing: a, b, c, d and 8 more", appended as one clause.
void AddClause(absl::string_view title, const std::vector<std::string>& items,
               std::vector<std::string>& clauses) {
  constexpr size_t kShown = 6;
  if (items.empty()) {
    return;
  }
  const size_t shown = std::min(items.size(), kShown);
  std::string clause = absl::StrCat(
      title, ": ", absl::StrJoin(items.begin(), items.begin() + static_cast<int>(shown), ", "));
  if (items.size() > shown) {
    absl::StrAppend(&clause, " and ", items.size() - shown, " more");
  }
  clauses.push_back(std::move(clause));
}

}  // namespace

std::vector<TensorInfo> VitTensors(const VitShape& shape, int num_classes) {
  const int64_t width = shape.width;
  const int64_t hidden = shape.mlp_hidden;
  const int64_t grid = shape.image / shape.patch;
  std::vector<TensorInfo> tensors = {
      {"cls_token", {1, 1, width}},
      {"pos_embed", {1, 1 + grid * grid, width}},
      {"patch_embed.proj.weight", {width, 3, shape.patch, shape.patch}},
  };
  const auto add_norm = [&](const std::string& name) {
    tensors.push_back({name + ".weight", {width}});
    tensors.push_back({name + ".bias", {width}});
  };
  const auto add_linear = [&](const std::string& name, int64_t out, int64_t in, bool bias) {
    tensors.push_back({name + ".weight", {out, in}});
    if (bias) {
      tensors.push_back({name + ".bias", {out}});
    }
  };
  if (shape.patch_bias) {
    tensors.push_back({"patch_embed.proj.bias", {width}});
  }
  if (shape.pre_norm) {
    add_norm("norm_pre");
  }
  for (int block = 0; block < shape.depth; ++block) {
    const std::string prefix = absl::StrCat("blocks.", block, ".");
    add_norm(prefix + "norm1");
    add_linear(prefix + "attn.qkv", 3 * width, width, shape.qkv_bias);
    add_linear(prefix + "attn.proj", width, width, true);
    add_norm(prefix + "norm2");
    add_linear(prefix + "mlp.fc1", hidden, width, true);
    add_linear(prefix + "mlp.fc2", width, hidden, true);
  }
  add_norm("norm");
  add_linear("head", num_classes, width, true);
  return tensors;
}

absl::Status CheckTensors(const std::vector<TensorInfo>& expected,
                          const std::vector<TensorInfo>& found) {
  std::map<std::string, const TensorInfo*> unused;
  for (const TensorInfo& tensor : found) {
    unused[tensor.name] = &tensor;
  }
  std::vector<std::string> missing;
  std::vector<std::string> misshapen;
  for (const TensorInfo& tensor : expected) {
    const auto match = unused.find(tensor.name);
    if (match == unused.end()) {
      missing.push_back(absl::StrCat("'", tensor.name, "' ", ShapeText(tensor.shape)));
      continue;
    }
    if (match->second->shape != tensor.shape) {
      misshapen.push_back(absl::StrCat("'", tensor.name, "' is ", ShapeText(match->second->shape),
                                       ", should be ", ShapeText(tensor.shape)));
    }
    unused.erase(match);
  }
  std::vector<std::string> unexpected;
  for (const auto& [name, tensor] : unused) {
    unexpected.push_back(absl::StrCat("'", name, "' ", ShapeText(tensor->shape)));
  }
  std::vector<std::string> clauses;
  AddClause("missing", missing, clauses);
  AddClause("of another shape", misshapen, clauses);
  AddClause("unexpected", unexpected, clauses);
  if (clauses.empty()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the weights are not those of a supported vision transformer; ",
                   absl::StrJoin(clauses, "; ")));
}

}  // namespace bitquake
