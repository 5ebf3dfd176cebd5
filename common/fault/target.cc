#include "common/fault/target.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

using Kind = Granularity::Kind;

constexpr std::array<QkvType, 3> kQkv = {QkvType::kQ, QkvType::kK, QkvType::kV};

// The surface's blocks, in forward order.
std::vector<std::string> BlocksOf(const Surface& surface) {
  std::vector<std::string> blocks;
  for (const SurfaceTensor& tensor : surface) {
    if (!tensor.block.empty() &&
        std::find(blocks.begin(), blocks.end(), tensor.block) == blocks.end()) {
      blocks.push_back(tensor.block);
    }
  }
  return blocks;
}

// Fields that the granularity does not know would be ignored in silence.
absl::Status CheckFields(const Granularity& granularity) {
  const Kind kind = granularity.kind;
  const auto refuse = [&](absl::string_view field, absl::string_view where) {
    return absl::InvalidArgumentError(absl::StrCat("granularity '", granularity.Name(),
                                                   "' takes no '", field, "'; remove it, or use ",
                                                   where));
  };
  if (!granularity.blocks.empty() &&
      (kind == Kind::kModel || (kind == Kind::kType && !granularity.per_block))) {
    return refuse("blocks", "block, tensor, head, or type per block");
  }
  if (!granularity.types.empty() && kind != Kind::kType && kind != Kind::kHead) {
    return refuse("types", "type or head");
  }
  if (granularity.per_block && kind != Kind::kType) {
    return refuse("per: block", "type");
  }
  return absl::OkStatus();
}

// The names of the blocks that the granularity is restricted to; none if it is not.
absl::StatusOr<std::set<std::string>> ChosenBlocks(const Surface& surface,
                                                   const Granularity& granularity) {
  const std::vector<std::string> blocks = BlocksOf(surface);
  std::set<std::string> chosen;
  for (int block : granularity.blocks) {
    if (block < 0 || block >= static_cast<int>(blocks.size())) {
      return absl::NotFoundError(
          blocks.empty()
              ? absl::StrCat("no block ", block, "; the model has no blocks")
              : absl::StrCat("no block ", block, "; blocks are 0 to ", blocks.size() - 1));
    }
    chosen.insert(blocks[block]);
  }
  return chosen;
}

// Those asked for, in the order q, k, v; all if none is.
std::vector<QkvType> ChosenTypes(const Granularity& granularity) {
  std::vector<QkvType> chosen;
  for (QkvType type : kQkv) {
    if (granularity.types.empty() || std::find(granularity.types.begin(), granularity.types.end(),
                                               type) != granularity.types.end()) {
      chosen.push_back(type);
    }
  }
  return chosen;
}

bool IsFusedQkvWeight(const SurfaceTensor& tensor) {
  return tensor.qkv.has_value() && tensor.shape.size() >= 2;
}

// Rows of `heads` heads from `first_head` on.
WordRange QkvRows(const Surface& surface, int index, QkvType type, int first_head, int heads) {
  const SurfaceTensor& tensor = surface[index];
  const int64_t width = int64_t{tensor.qkv->heads} * tensor.qkv->head_dim;
  const int64_t first_row =
      static_cast<int64_t>(type) * width + int64_t{first_head} * tensor.qkv->head_dim;
  return {index, first_row * tensor.words_per_row(),
          int64_t{heads} * tensor.qkv->head_dim * tensor.words_per_row()};
}

WordRange WholeTensor(const Surface& surface, int index) {
  return {index, 0, surface[index].words()};
}

// Targets in the order of their first words; ranges of one name come together.
class TargetList {
 public:
  explicit TargetList(absl::string_view granularity) : granularity_(granularity) {}

  void Add(const std::string& name, WordRange range) {
    const auto [at, is_new] = index_.emplace(name, targets_.size());
    if (is_new) {
      targets_.push_back({granularity_, name, {}});
    }
    targets_[at->second].ranges.push_back(range);
  }

  std::vector<Target> Take() && { return std::move(targets_); }

 private:
  std::string granularity_;
  std::vector<Target> targets_;
  std::map<std::string, size_t> index_;
};

void AddTypes(const Surface& surface, int index, const Granularity& granularity, TargetList* out) {
  const SurfaceTensor& tensor = surface[index];
  for (QkvType type : ChosenTypes(granularity)) {
    const std::string name = granularity.per_block ? absl::StrCat(tensor.block, ".", Name(type))
                                                   : std::string(Name(type));
    out->Add(name, QkvRows(surface, index, type, 0, tensor.qkv->heads));
  }
}

void AddHeads(const Surface& surface, int index, const Granularity& granularity, TargetList* out) {
  const SurfaceTensor& tensor = surface[index];
  const absl::string_view attention = absl::StripSuffix(tensor.name, ".qkv.weight");
  for (int head = 0; head < tensor.qkv->heads; ++head) {
    const std::string name = absl::StrCat(attention, ".h", head);
    for (QkvType type : ChosenTypes(granularity)) {
      out->Add(granularity.types.empty() ? name : absl::StrCat(name, ".", Name(type)),
               QkvRows(surface, index, type, head, 1));
    }
  }
}

}  // namespace

absl::string_view Name(QkvType type) {
  switch (type) {
    case QkvType::kQ:
      return "q";
    case QkvType::kK:
      return "k";
    case QkvType::kV:
      return "v";
  }
  return "";
}

absl::string_view Granularity::Name() const {
  switch (kind) {
    case Kind::kModel:
      return "model";
    case Kind::kBlock:
      return "block";
    case Kind::kTensor:
      return "tensor";
    case Kind::kType:
      return "type";
    case Kind::kHead:
      return "head";
    case Kind::kPart:
      return "part";
    case Kind::kBit:
      return "bit";
    case Kind::kRegex:
      return "regex";
  }
  return "";
}

int64_t ExposedBits(const Target& target, const NumberFormat& format, const FaultModel& model) {
  uint32_t positions = target.positions & (~uint32_t{0} >> (32 - format.bits));
  if (!model.positions.empty()) {
    uint32_t allowed = 0;
    for (const int position : model.positions) {
      allowed |= uint32_t{1} << position;
    }
    positions &= allowed;
  }
  return target.words() * __builtin_popcount(positions);
}

int64_t Target::words() const {
  int64_t sum = 0;
  for (const WordRange& range : ranges) {
    sum += range.count;
  }
  return sum;
}

absl::StatusOr<std::vector<Target>> ExpandTargets(const Surface& surface,
                                                  const Granularity& granularity,
                                                  const NumberFormat& format) {
  (void)format;
  RETURN_IF_ERROR(CheckFields(granularity));
  ASSIGN_OR_RETURN(const std::set<std::string> blocks, ChosenBlocks(surface, granularity));
  TargetList targets(granularity.Name());
  for (int i = 0; i < static_cast<int>(surface.size()); ++i) {
    const SurfaceTensor& tensor = surface[i];
    if (!blocks.empty() && blocks.count(tensor.block) == 0) {
      continue;
    }
    switch (granularity.kind) {
      case Kind::kModel:
        targets.Add("model", WholeTensor(surface, i));
        break;
      case Kind::kBlock:
        if (!tensor.block.empty()) {
          targets.Add(tensor.block, WholeTensor(surface, i));
        }
        break;
      case Kind::kTensor:
        targets.Add(tensor.name, WholeTensor(surface, i));
        break;
      case Kind::kType:
        if (IsFusedQkvWeight(tensor)) {
          AddTypes(surface, i, granularity, &targets);
        }
        break;
      case Kind::kHead:
        if (IsFusedQkvWeight(tensor)) {
          AddHeads(surface, i, granularity, &targets);
        }
        break;
      case Kind::kPart:
      case Kind::kBit:
      case Kind::kRegex:
        break;
    }
  }
  std::vector<Target> found = std::move(targets).Take();
  if (found.empty()) {
    const bool attention = granularity.kind == Kind::kType || granularity.kind == Kind::kHead;
    return absl::NotFoundError(absl::StrCat(
        "granularity '", granularity.Name(), "' matches nothing: the surface has no ",
        attention                          ? "qkv weight"
        : granularity.kind == Kind::kBlock ? "blocks"
                                           : "tensors",
        blocks.empty() ? "" : " in the chosen blocks", "; choose another granularity"));
  }
  return found;
}

}  // namespace bitquake
