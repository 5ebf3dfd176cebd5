#include "common/fault/target.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/pattern.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"

namespace bitquake {
namespace {

using Kind = Granularity::Kind;

constexpr std::array<QkvType, 3> kQkv = {QkvType::kQ, QkvType::kK, QkvType::kV};

absl::string_view PartName(Part part) {
  switch (part) {
    case Part::kEmbed:
      return "embed";
    case Part::kAttention:
      return "attention";
    case Part::kMlp:
      return "mlp";
    case Part::kHead:
      return "head";
    case Part::kNone:
      break;
  }
  return "";
}

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

// The names of the blocks that the granularity is restricted to; none if it is not.
absl::StatusOr<std::set<std::string>> ChosenBlocks(const Surface& surface,
                                                   const Granularity& granularity) {
  const std::vector<std::string> blocks = BlocksOf(surface);
  std::set<std::string> chosen;
  for (const int block : granularity.blocks) {
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
  for (const QkvType type : kQkv) {
    if (granularity.types.empty() || std::find(granularity.types.begin(), granularity.types.end(),
                                               type) != granularity.types.end()) {
      chosen.push_back(type);
    }
  }
  return chosen;
}

// Rows of `heads` heads from `first_head` on; of a bias, a row is one word.
WordRange QkvRows(const Surface& surface, int index, QkvType type, int first_head, int heads) {
  const SurfaceTensor& tensor = surface[index];
  const int64_t width = int64_t{tensor.qkv->heads} * tensor.qkv->head_dim;
  const int64_t first_row =
      static_cast<int64_t>(type) * width + int64_t{first_head} * tensor.qkv->head_dim;
  return {index, first_row * tensor.words_per_row(),
          int64_t{heads} * tensor.qkv->head_dim * tensor.words_per_row()};
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
  for (const QkvType type : ChosenTypes(granularity)) {
    const std::string name = granularity.per_block ? absl::StrCat(tensor.block, ".", Name(type))
                                                   : std::string(Name(type));
    out->Add(name, QkvRows(surface, index, type, 0, tensor.qkv->heads));
  }
}

void AddHeads(const Surface& surface, int index, const Granularity& granularity, TargetList* out) {
  const SurfaceTensor& tensor = surface[index];
  // "blocks.0.attn" of "blocks.0.attn.qkv.weight", and of its bias.
  std::vector<absl::string_view> attention = absl::StrSplit(tensor.name, '.');
  attention.resize(attention.size() - std::min<size_t>(2, attention.size()));
  for (int head = 0; head < tensor.qkv->heads; ++head) {
    const std::string name = absl::StrCat(absl::StrJoin(attention, "."), ".h", head);
    for (const QkvType type : ChosenTypes(granularity)) {
      out->Add(granularity.types.empty() ? name : absl::StrCat(name, ".", Name(type)),
               QkvRows(surface, index, type, head, 1));
    }
  }
}

// Adds the words of one tensor to the targets that they belong to. `pattern` is regex's, else null.
void AddTensor(const Surface& surface, int index, const Granularity& granularity,
               const Pattern* pattern, TargetList* out) {
  const SurfaceTensor& tensor = surface[index];
  const WordRange whole = {index, 0, tensor.words()};
  switch (granularity.kind) {
    case Kind::kModel:
    case Kind::kBit:
      out->Add("model", whole);
      break;
    case Kind::kBlock:
      if (!tensor.block.empty()) {
        out->Add(tensor.block, whole);
      }
      break;
    case Kind::kTensor:
      out->Add(tensor.name, whole);
      break;
    case Kind::kPart:
      if (tensor.part == Part::kNone) {
        break;
      }
      if (!granularity.per_block) {
        out->Add(std::string(PartName(tensor.part)), whole);
      } else if (!tensor.block.empty()) {
        out->Add(absl::StrCat(tensor.block, ".", PartName(tensor.part)), whole);
      }
      break;
    case Kind::kType:
      if (tensor.qkv.has_value()) {
        AddTypes(surface, index, granularity, out);
      }
      break;
    case Kind::kHead:
      if (tensor.qkv.has_value()) {
        AddHeads(surface, index, granularity, out);
      }
      break;
    case Kind::kRegex:
      if (pattern->Matches(tensor.name)) {
        out->Add(granularity.name.empty() ? granularity.pattern : granularity.name, whole);
      }
      break;
  }
}

// What the targets of a granularity are made of.
absl::string_view Wanted(const Granularity& granularity) {
  if (granularity.kind == Kind::kType || granularity.kind == Kind::kHead) {
    return "qkv weight";
  }
  if (granularity.kind == Kind::kPart) {
    return "parts that are known";
  }
  return granularity.kind == Kind::kBlock ? "blocks" : "tensors";
}

absl::Status MatchesNothing(const Surface& surface, const Granularity& granularity) {
  const std::string what = absl::StrCat("granularity '", granularity.Name(), "' matches nothing: ");
  if (granularity.kind == Kind::kRegex && !surface.empty()) {
    std::vector<std::string> names;
    for (const SurfaceTensor& tensor : surface) {
      names.push_back(tensor.name);
    }
    return absl::NotFoundError(absl::StrCat(what, "no tensor's name on the surface matches '",
                                            granularity.pattern, "'",
                                            NearPartsOrExamples(granularity.pattern, names)));
  }
  return absl::NotFoundError(absl::StrCat(what, "the surface has no ", Wanted(granularity),
                                          granularity.blocks.empty() ? "" : " in the chosen blocks",
                                          "; choose another granularity"));
}

// Each target once for each of the granularity's positions.
std::vector<Target> SplitByPosition(const std::vector<Target>& targets,
                                    const Granularity& granularity, const NumberFormat& format) {
  std::set<int> positions(granularity.positions.begin(), granularity.positions.end());
  if (positions.empty()) {
    for (int position = 0; position < format.bits; ++position) {
      positions.insert(position);
    }
  }
  std::vector<Target> split;
  for (const Target& target : targets) {
    for (const int position : positions) {
      Target one = target;
      const std::string bit = absl::StrCat("bit", position);
      one.name = granularity.kind == Kind::kBit ? bit : absl::StrCat(target.name, ".", bit);
      one.positions = uint32_t{1} << position;
      split.push_back(std::move(one));
    }
  }
  return split;
}

}  // namespace

int64_t ExposedBits(const Target& target, const NumberFormat& format, const FaultModel& model) {
  return BitsAt(target, model.PositionMask() & (~uint32_t{0} >> (32 - format.bits)));
}

int64_t BitsAt(const Target& target, uint32_t positions) {
  int64_t sum = 0;
  for (const WordRange& range : target.ranges) {
    sum += range.count * __builtin_popcount(positions & range.positions & target.positions);
  }
  return sum;
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
  RETURN_IF_ERROR(CheckGranularity(granularity, format));
  ASSIGN_OR_RETURN(const std::set<std::string> blocks, ChosenBlocks(surface, granularity));
  std::optional<Pattern> pattern;
  if (granularity.kind == Kind::kRegex) {
    ASSIGN_OR_RETURN(pattern, Pattern::Compile(granularity.pattern));
  }
  TargetList list(granularity.Name());
  for (int i = 0; i < static_cast<int>(surface.size()); ++i) {
    const bool chosen = blocks.empty() || blocks.count(surface[i].block) > 0;
    if (chosen && surface[i].words() > 0) {
      AddTensor(surface, i, granularity, pattern ? &*pattern : nullptr, &list);
    }
  }
  std::vector<Target> targets = std::move(list).Take();
  if (targets.empty()) {
    return MatchesNothing(surface, granularity);
  }
  return granularity.by_position() ? SplitByPosition(targets, granularity, format) : targets;
}

}  // namespace bitquake
