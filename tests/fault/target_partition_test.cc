// What the results rely on when they compare granularities: on every family's surface, the targets
// of each granularity part the bits of a larger target among them, and so the faults of a trial.
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "common/fault/fault_list.h"
#include "common/fault/target.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fault/family_surfaces.h"

namespace bitquake {
namespace {

using Kind = Granularity::Kind;
using Word = std::pair<int, int64_t>;  // tensor, index

constexpr NumberFormat kInt4 = {NumberFormat::Kind::kInt, 4};

Granularity Of(Kind kind) {
  Granularity granularity;
  granularity.kind = kind;
  return granularity;
}

Granularity PerBlock(Kind kind) {
  Granularity granularity = Of(kind);
  granularity.per_block = true;
  return granularity;
}

Granularity EachBit(Granularity granularity) {
  granularity.each_position = true;
  return granularity;
}

// All that match nothing on a surface without attention or blocks are left out there.
std::vector<Granularity> GranularitiesOf(const Surface& surface) {
  std::vector<Granularity> all = {Of(Kind::kModel), Of(Kind::kTensor)};
  Granularity regex = Of(Kind::kRegex);
  regex.pattern = "weight$";
  all.push_back(regex);
  if (!surface.front().block.empty() || !surface[surface.size() / 2].block.empty()) {
    all.push_back(Of(Kind::kBlock));
    all.push_back(Of(Kind::kPart));
    all.push_back(PerBlock(Kind::kPart));
    all.push_back(Of(Kind::kType));
    all.push_back(PerBlock(Kind::kType));
    all.push_back(Of(Kind::kHead));
    Granularity head_types = Of(Kind::kHead);
    head_types.types = {QkvType::kQ, QkvType::kK, QkvType::kV};
    all.push_back(head_types);
  }
  return all;
}

class TargetPartition : public testing::TestWithParam<FamilySurface> {
 protected:
  const Surface& surface() const { return GetParam().surface; }
  bool has_attention() const { return GetParam().family != "Cnn"; }

  std::vector<Target> Expand(const Granularity& granularity) const {
    absl::StatusOr<std::vector<Target>> targets = ExpandTargets(surface(), granularity, kInt4);
    EXPECT_TRUE(targets.ok()) << targets.status();
    return targets.value_or(std::vector<Target>());
  }

  // One target of all tensors that are chosen.
  Target Tensors(bool (*chosen)(const SurfaceTensor&)) const {
    Target target;
    for (int i = 0; i < static_cast<int>(surface().size()); ++i) {
      if (chosen(surface()[i])) {
        target.ranges.push_back({i, 0, surface()[i].words()});
      }
    }
    return target;
  }
  Target Model() const {
    return Tensors([](const SurfaceTensor&) { return true; });
  }

  // The bits of the targets, by word. Each bit may be there once.
  static std::map<Word, uint32_t> BitsOf(const std::vector<Target>& targets) {
    std::map<Word, uint32_t> bits;
    for (const Target& target : targets) {
      for (const WordRange& range : target.ranges) {
        for (int64_t i = range.first; i < range.first + range.count; ++i) {
          uint32_t& word = bits[{range.tensor, i}];
          const uint32_t positions = target.positions & 0xF;
          EXPECT_EQ(word & positions, 0u) << target.name << " shares word " << i;
          word |= positions;
        }
      }
    }
    return bits;
  }

  // The faults of one trial in the targets, by word.
  std::map<Word, uint32_t> FaultsOf(const std::vector<Target>& targets) const {
    std::map<Word, uint32_t> faults;
    for (const Target& target : targets) {
      const absl::StatusOr<FaultList> drawn =
          DrawFaults(surface(), target, FaultModel(), kInt4, /*seed=*/2418, /*trial=*/3,
                     /*ber=*/0.05);
      EXPECT_TRUE(drawn.ok()) << drawn.status();
      for (const TensorFaults& tensor : drawn->tensors) {
        for (const WordFault& fault : tensor.faults) {
          uint32_t& word = faults[{tensor.tensor, fault.index}];
          EXPECT_EQ(word & fault.mask, 0u) << target.name << " repeats a fault";
          word |= fault.mask;
        }
      }
    }
    return faults;
  }

  static int64_t Exposed(const std::vector<Target>& targets) {
    int64_t bits = 0;
    for (const Target& target : targets) {
      bits += ExposedBits(target, kInt4, FaultModel());
    }
    return bits;
  }

  void ExpectPartition(const std::vector<Target>& parts, const Target& whole) const {
    EXPECT_EQ(BitsOf(parts), BitsOf({whole}));
    EXPECT_EQ(Exposed(parts), Exposed({whole}));
    const std::map<Word, uint32_t> faults = FaultsOf({whole});
    EXPECT_FALSE(faults.empty());
    EXPECT_EQ(FaultsOf(parts), faults);
  }
};

INSTANTIATE_TEST_SUITE_P(Families, TargetPartition, testing::ValuesIn(FamilySurfaces()),
                         [](const auto& info) { return info.param.family; });

TEST_P(TargetPartition, ModelIsTheSurface) { ExpectPartition(Expand(Of(Kind::kModel)), Model()); }

TEST_P(TargetPartition, TensorsPartTheModel) {
  ExpectPartition(Expand(Of(Kind::kTensor)), Model());
}

TEST_P(TargetPartition, PartsPartTheModel) {
  if (!has_attention()) {
    EXPECT_EQ(ExpandTargets(surface(), Of(Kind::kPart), kInt4).status().code(),
              absl::StatusCode::kNotFound);
    return;
  }
  ExpectPartition(Expand(Of(Kind::kPart)), Model());
}

TEST_P(TargetPartition, BitsPartTheModel) {
  const std::vector<Target> bits = Expand(Of(Kind::kBit));
  EXPECT_EQ(bits.size(), 4u);
  ExpectPartition(bits, Model());
}

TEST_P(TargetPartition, BlocksEmbeddingAndHeadPartTheModel) {
  if (!has_attention()) {
    EXPECT_EQ(ExpandTargets(surface(), Of(Kind::kBlock), kInt4).status().code(),
              absl::StatusCode::kNotFound);
    return;
  }
  std::vector<Target> targets = Expand(Of(Kind::kBlock));
  targets.push_back(Tensors([](const SurfaceTensor& tensor) {
    return tensor.block.empty() && tensor.part == Part::kEmbed;
  }));
  targets.push_back(Tensors([](const SurfaceTensor& tensor) {
    return tensor.block.empty() && tensor.part == Part::kHead;
  }));
  ExpectPartition(targets, Model());
}

TEST_P(TargetPartition, PartsOfBlocksPartTheBlocks) {
  if (!has_attention()) {
    EXPECT_EQ(ExpandTargets(surface(), PerBlock(Kind::kPart), kInt4).status().code(),
              absl::StatusCode::kNotFound);
    return;
  }
  ExpectPartition(Expand(PerBlock(Kind::kPart)),
                  Tensors([](const SurfaceTensor& tensor) { return !tensor.block.empty(); }));
}

TEST_P(TargetPartition, TypesPartTheFusedLayersAndHeadsPartTheirTypes) {
  if (!has_attention()) {
    for (const Kind kind : {Kind::kType, Kind::kHead}) {
      EXPECT_EQ(ExpandTargets(surface(), Of(kind), kInt4).status().code(),
                absl::StatusCode::kNotFound);
    }
    return;
  }
  const Target qkv = Tensors([](const SurfaceTensor& tensor) { return tensor.qkv.has_value(); });
  ExpectPartition(Expand(Of(Kind::kType)), qkv);
  ExpectPartition(Expand(PerBlock(Kind::kType)), qkv);
  ExpectPartition(Expand(Of(Kind::kHead)), qkv);
  for (const QkvType type : {QkvType::kQ, QkvType::kK, QkvType::kV}) {
    Granularity one_type = Of(Kind::kType);
    one_type.types = {type};
    Granularity heads = Of(Kind::kHead);
    heads.types = {type};
    const std::vector<Target> whole = Expand(one_type);
    ASSERT_EQ(whole.size(), 1u);
    ExpectPartition(Expand(heads), whole.front());
  }
}

TEST_P(TargetPartition, BitsPartEveryTarget) {
  for (const Granularity& granularity : GranularitiesOf(surface())) {
    const std::vector<Target> wholes = Expand(granularity);
    const std::vector<Target> bits = Expand(EachBit(granularity));
    ASSERT_EQ(bits.size(), 4 * wholes.size()) << granularity.Name();
    for (size_t i = 0; i < wholes.size(); ++i) {
      const std::vector<Target> own(bits.begin() + 4 * i, bits.begin() + 4 * (i + 1));
      EXPECT_EQ(own[2].name, wholes[i].name + ".bit2");
      EXPECT_EQ(own[2].granularity, wholes[i].granularity);
      EXPECT_EQ(BitsOf(own), BitsOf({wholes[i]})) << wholes[i].name;
      EXPECT_EQ(Exposed(own), Exposed({wholes[i]}));
      EXPECT_EQ(FaultsOf(own), FaultsOf({wholes[i]})) << wholes[i].name;
    }
  }
}

TEST_P(TargetPartition, NamesAreDistinctWithinAGranularity) {
  for (const Granularity& granularity : GranularitiesOf(surface())) {
    std::set<std::string> names;
    const std::vector<Target> targets = Expand(EachBit(granularity));
    for (const Target& target : targets) {
      names.insert(target.name);
    }
    EXPECT_EQ(names.size(), targets.size()) << granularity.Name();
  }
}

}  // namespace
}  // namespace bitquake
