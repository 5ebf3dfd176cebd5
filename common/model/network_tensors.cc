#include "common/model/network_tensors.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/shown.h"
#include "common/model/deepvit_tensors.h"
#include "common/model/swin_tensors.h"
#include "common/model/vit_tensors.h"

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

// What PyTorch's and timm's modules register as buffers.
TensorKind KindOfName(absl::string_view name) {
  const std::vector<absl::string_view> parts = absl::StrSplit(name, '.');
  for (const absl::string_view statistic : {"running_mean", "running_var"}) {
    if (parts.back() == statistic) {
      return TensorKind::kStatistic;
    }
  }
  for (const absl::string_view unused :
       {"num_batches_tracked", "relative_position_index", "attn_mask"}) {
    if (parts.back() == unused) {
      return TensorKind::kUnused;
    }
  }
  return TensorKind::kParameter;
}

std::vector<NetworkTensor> ScriptTensors(const std::vector<TensorInfo>& found) {
  TensorLister tensors;
  tensors.Begin("", Part::kNone);
  for (const TensorInfo& tensor : found) {
    const bool empty = std::count(tensor.shape.begin(), tensor.shape.end(), 0) > 0;
    tensors.Add(tensor.name, tensor.shape, empty ? TensorKind::kUnused : KindOfName(tensor.name));
  }
  return std::move(tensors).Take();
}

}  // namespace

std::vector<NetworkTensor> NetworkTensors(const Architecture& architecture,
                                          const std::vector<TensorInfo>& found) {
  switch (architecture.family()) {
    case Family::kVit:
      return VitTensors(std::get<VitShape>(architecture.network), architecture.num_classes);
    case Family::kSwin:
      return SwinTensors(std::get<SwinShape>(architecture.network), architecture.num_classes);
    case Family::kDeepVit:
      return DeepVitTensors(std::get<DeepVitShape>(architecture.network), architecture.num_classes);
    case Family::kTorchScript:
      break;
  }
  return ScriptTensors(found);
}

absl::Status CheckTensors(const std::vector<NetworkTensor>& expected,
                          const std::vector<TensorInfo>& found) {
  std::map<std::string, const TensorInfo*> unused;
  for (const TensorInfo& tensor : found) {
    unused[tensor.name] = &tensor;
  }
  std::vector<std::string> missing;
  std::vector<std::string> misshapen;
  for (const auto& [tensor, kind] : expected) {
    const auto match = unused.find(tensor.name);
    if (match == unused.end()) {
      if (kind != TensorKind::kUnused) {
        missing.push_back(absl::StrCat("'", tensor.name, "' ", ShapeText(tensor.shape)));
      }
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
    unexpected.push_back(absl::StrCat("'", Shown(name), "' ", ShapeText(tensor->shape)));
  }
  std::vector<std::string> clauses;
  AddClause("missing", missing, clauses);
  AddClause("of another shape", misshapen, clauses);
  AddClause("unexpected", unexpected, clauses);
  if (clauses.empty()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the weights are not those of a supported network of this architecture's "
                   "family; ",
                   absl::StrJoin(clauses, "; ")));
}

void TensorLister::Add(const std::string& name, std::vector<int64_t> shape, TensorKind kind) {
  tensors_.push_back({{name, std::move(shape), block_, part_, std::nullopt}, kind});
}

void TensorLister::AddNorm(const std::string& name, int64_t width) {
  Add(name + ".weight", {width});
  Add(name + ".bias", {width});
}

void TensorLister::AddLinear(const std::string& name, int64_t out, int64_t in, bool bias) {
  Add(name + ".weight", {out, in});
  if (bias) {
    Add(name + ".bias", {out});
  }
}

void TensorLister::AddFusedQkv(const std::string& name, int64_t width, int heads, bool bias) {
  const size_t first = tensors_.size();
  AddLinear(name, 3 * width, width, bias);
  for (size_t i = first; i < tensors_.size(); ++i) {
    tensors_[i].tensor.qkv = FusedQkv{heads, static_cast<int>(width / heads)};
  }
}

void TensorLister::AddMlp(const std::string& block, int64_t width, int64_t hidden) {
  Begin(block, Part::kMlp);
  AddNorm(block + ".norm2", width);
  AddLinear(block + ".mlp.fc1", hidden, width);
  AddLinear(block + ".mlp.fc2", width, hidden);
}

}  // namespace bitquake
