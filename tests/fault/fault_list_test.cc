#include "common/fault/fault_list.h"

#include <map>
#include <set>
#include <utility>

#include "common/base/digest.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fault/vit_surface.h"

namespace bitquake {
namespace {

using ::testing::ElementsAre;
using Kind = Granularity::Kind;

constexpr NumberFormat kInt8 = {NumberFormat::Kind::kInt, 8};

using FaultMap = std::map<std::pair<int, int64_t>, uint32_t>;

FaultMap ToMap(const FaultList& list) {
  FaultMap faults;
  for (const TensorFaults& tensor : list.tensors) {
    for (const WordFault& fault : tensor.faults) {
      EXPECT_TRUE(faults.insert({{tensor.tensor, fault.index}, fault.mask}).second);
    }
  }
  return faults;
}

std::vector<FaultList> DrawAll(const Surface& surface, const Granularity& granularity) {
  std::vector<FaultList> lists;
  const absl::StatusOr<std::vector<Target>> targets = ExpandTargets(surface, granularity, kInt8);
  EXPECT_TRUE(targets.ok()) << targets.status();
  for (const Target& target : *targets) {
    lists.push_back(DrawFaults(surface, target, FaultModel(), kInt8, 2418, 7, 0.01).value());
  }
  return lists;
}

TEST(FaultList, FaultsAreTheSameWhateverTheGranularity) {
  const Surface surface = VitSurface();
  const FaultMap model = ToMap(DrawAll(surface, {Kind::kModel})[0]);
  ASSERT_GT(model.size(), 1000u);
  const auto expect_parts_of_model = [&](const Granularity& granularity, auto covered) {
    FaultMap parts;
    for (const FaultList& list : DrawAll(surface, granularity)) parts.merge(ToMap(list));
    FaultMap expected;
    for (const auto& fault : model) {
      if (covered(surface[fault.first.first])) expected.insert(fault);
    }
    EXPECT_EQ(parts, expected) << granularity.Name();
  };
  const auto all = [](const SurfaceTensor&) { return true; };
  const auto in_block = [](const SurfaceTensor& tensor) { return !tensor.block.empty(); };
  const auto fused = [](const SurfaceTensor& tensor) { return tensor.qkv.has_value(); };
  expect_parts_of_model({Kind::kTensor}, all);
  expect_parts_of_model({Kind::kBlock}, in_block);
  expect_parts_of_model({Kind::kType}, fused);
  expect_parts_of_model({Kind::kType, {}, {}, true}, fused);
  expect_parts_of_model({Kind::kHead}, fused);
  expect_parts_of_model({Kind::kHead, {}, {QkvType::kQ, QkvType::kK, QkvType::kV}}, fused);
}

TEST(FaultList, StaysWithinItsTarget) {
  const Surface surface = VitSurface();
  const std::vector<Target> targets = *ExpandTargets(surface, {Kind::kHead}, kInt8);
  const FaultList list = DrawFaults(surface, targets[5], FaultModel(), kInt8, 1, 0, 0.3).value();
  ASSERT_EQ(list.tensors.size(), 1u);
  std::set<int64_t> allowed;
  for (const WordRange& range : targets[5].ranges) {
    for (int64_t i = 0; i < range.count; ++i) allowed.insert(range.first + i);
  }
  for (const WordFault& fault : list.tensors[0].faults) EXPECT_EQ(allowed.count(fault.index), 1u);
  // Every word of the target is exposed.
  EXPECT_EQ(DrawFaults(surface, targets[5], FaultModel(), kInt8, 1, 0, 1)->flips(),
            targets[5].words() * 8);
}

TEST(FaultList, TensorsAreOrderedAndHaveFaults) {
  const Surface surface = VitSurface();
  const std::vector<Target> targets = *ExpandTargets(surface, {Kind::kModel}, kInt8);
  const FaultList list = DrawFaults(surface, targets[0], FaultModel(), kInt8, 1, 0, 1e-4).value();
  ASSERT_FALSE(list.tensors.empty());
  EXPECT_LT(list.tensors.size(), surface.size());
  int previous = -1;
  for (const TensorFaults& tensor : list.tensors) {
    EXPECT_GT(tensor.tensor, previous);
    EXPECT_FALSE(tensor.faults.empty());
    previous = tensor.tensor;
  }
  EXPECT_TRUE(DrawFaults(surface, targets[0], FaultModel(), kInt8, 1, 0, 0)->tensors.empty());
}

TEST(FaultList, CountsFlipsPerBitPosition) {
  const FaultList list = {{{0, {{3, 0x81}, {9, 0x80}}}, {2, {{0, 0x02}}}}};
  EXPECT_EQ(list.flips(), 4);
  EXPECT_THAT(list.FlipsPerBit(8), ElementsAre(1, 1, 0, 0, 0, 0, 0, 2));
}

TEST(FaultList, DigestIsThatOfItsDocumentedBytes) {
  const Surface surface = VitSurface(1);
  const FaultList list = {{{0, {{3, 0x81}, {0x0102030405, 0x80}}}}};
  const char bytes[] =
      "\x09\0\0\0\0\0\0\0"
      "cls_token"
      "\x02\0\0\0\0\0\0\0"
      "\x03\0\0\0\0\0\0\0\x81\0\0\0"
      "\x05\x04\x03\x02\x01\0\0\0\x80\0\0\0";
  EXPECT_EQ(list.Digest(surface), Xxh3Hex(absl::string_view(bytes, sizeof(bytes) - 1)));
}

TEST(FaultList, DigestTellsListsApart) {
  const Surface surface = VitSurface(1);
  const FaultList lists[] = {
      {},
      {{{0, {{3, 1}}}}},
      {{{1, {{3, 1}}}}},
      {{{0, {{4, 1}}}}},
      {{{0, {{3, 2}}}}},
      {{{0, {{3, 1}, {4, 1}}}}},
      {{{0, {{3, 1}}}, {1, {{4, 1}}}}},
  };
  std::set<std::string> digests;
  for (const FaultList& list : lists) digests.insert(list.Digest(surface));
  EXPECT_EQ(digests.size(), std::size(lists));
}

TEST(FaultList, DigestOfSetsHasTheirValues) {
  const Surface surface = VitSurface(1);
  const FaultList list = {{{0, {{3, 0x81, 0x80}}}}, FaultList::Effect::kSet};
  const char bytes[] =
      "\x09\0\0\0\0\0\0\0"
      "cls_token"
      "\x01\0\0\0\0\0\0\0"
      "\x03\0\0\0\0\0\0\0\x81\0\0\0\x80\0\0\0";
  EXPECT_EQ(list.Digest(surface), Xxh3Hex(absl::string_view(bytes, sizeof(bytes) - 1)));
}

}  // namespace
}  // namespace bitquake
