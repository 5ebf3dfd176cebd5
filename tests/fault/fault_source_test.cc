#include "common/fault/fault_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <tuple>

#include "tests/fault/plain_golden.h"
#include "tests/fault/vit_surface.h"

namespace bitquake {
namespace {

constexpr NumberFormat kInt8 = {NumberFormat::Kind::kInt, 8};
constexpr uint64_t kSeed = 2418;

const Surface& SmallVit() {
  static const Surface& surface = *new Surface(VitSurface(/*depth=*/3));
  return surface;
}

// Words that are all different from zero.
PlainGolden MakeGolden() {
  std::vector<QuantizedTensor> tensors;
  uint32_t next = 1;
  for (const SurfaceTensor& tensor : SmallVit()) {
    QuantizedTensor words;
    for (int64_t i = 0; i < tensor.words(); ++i) {
      next = next * 1664525 + 1013904223;
      words.words.push_back(1 + (next >> 16) % 255);
    }
    tensors.push_back(std::move(words));
  }
  return {kInt8, std::move(tensors)};
}

const PlainGolden& Golden() {
  static const PlainGolden& golden = *new PlainGolden(MakeGolden());
  return golden;
}

Target Named(Granularity granularity, const std::string& name) {
  std::vector<Target> targets = ExpandTargets(SmallVit(), granularity, kInt8).value();
  for (Target& target : targets) {
    if (target.name == name) {
      return target;
    }
  }
  ADD_FAILURE() << "no target " << name;
  return {};
}

Target Model() { return Named({}, "model"); }

FaultModel With(Protection::Scheme scheme) {
  FaultModel model;
  model.protection.scheme = scheme;
  model.protection.copied_bits = scheme == Protection::Scheme::kTmr ? 2 : 0;
  return model;
}

FaultList Draw(const FaultModel& model, const Target& target, double ber, uint32_t trial = 0) {
  const absl::StatusOr<FaultSource> source = FaultSource::Make(SmallVit(), model, kInt8);
  EXPECT_TRUE(source.ok()) << source.status();
  const absl::StatusOr<FaultList> list = source->Draw(target, kSeed, trial, ber, Golden());
  EXPECT_TRUE(list.ok()) << list.status();
  return *list;
}

using WordMasks = std::map<std::pair<int, int64_t>, uint32_t>;

WordMasks Masks(const FaultList& list) {
  WordMasks masks;
  for (const TensorFaults& tensor : list.tensors) {
    for (const WordFault& fault : tensor.faults) {
      masks[{tensor.tensor, fault.index}] = fault.mask;
    }
  }
  return masks;
}

TEST(FaultSource, WithoutProtectionIsWhatIsDrawn) {
  for (const FaultModel::Kind kind :
       {FaultModel::Kind::kBitFlip, FaultModel::Kind::kStuckAt1, FaultModel::Kind::kWord}) {
    FaultModel model;
    model.kind = kind;
    const FaultList drawn = *DrawFaults(SmallVit(), Model(), model, kInt8, kSeed, 3, 1e-3);
    EXPECT_EQ(Draw(model, Model(), 1e-3, 3).Digest(SmallVit()), drawn.Digest(SmallVit()));
  }
}

TEST(FaultSource, TheBlocksOfAModelHaveItsFaultsUnderEveryScheme) {
  Granularity tensor;
  tensor.kind = Granularity::Kind::kTensor;
  const std::vector<Target> tensors = *ExpandTargets(SmallVit(), tensor, kInt8);
  for (const Protection::Scheme scheme : {Protection::Scheme::kSecded, Protection::Scheme::kParity,
                                          Protection::Scheme::kTmr, Protection::Scheme::kClamp}) {
    WordMasks of_tensors;
    for (const Target& target : tensors) {
      of_tensors.merge(Masks(Draw(With(scheme), target, 2e-2)));
    }
    EXPECT_GT(of_tensors.size(), 10u);
    EXPECT_EQ(of_tensors, Masks(Draw(With(scheme), Model(), 2e-2)));
  }
}

TEST(FaultSource, CheckBitsBelongToTheTargetOfTheFirstWordOfTheirMemoryWord) {
  // Heads of a qkv with 3 words a row and 1 row a head: 3 words each, so memory words lie across.
  const Surface surface = {{"qkv", {3 * 8, 3}, "b", Part::kAttention, FusedQkv{8, 1}},
                           {"w", {5}, "b", Part::kMlp, {}}};
  const PlainGolden golden(kInt8, {{std::vector<uint32_t>(72, 0xFF), {}}, {{1, 2, 3, 4, 5}, {}}});
  Granularity head;
  head.kind = Granularity::Kind::kHead;
  FaultModel model = With(Protection::Scheme::kSecded);
  const FaultSource source = *FaultSource::Make(surface, model, kInt8);
  // At a rate of 1 all of a target's bits flip, and all 8 check bits of the memory words that are
  // its: that inverts their syndromes, so what is left shows whether they were hit.
  const std::vector<Target> heads = *ExpandTargets(surface, head, kInt8);
  int memory_words_hit = 0;
  for (const Target& target : heads) {
    std::map<int64_t, MemoryFaults> by_memory_word;
    for (const WordRange& range : target.ranges) {
      for (int64_t word = range.first; word < range.first + range.count; ++word) {
        by_memory_word[word / 8].flips.push_back({word, 0xFF});
      }
    }
    WordMasks expected;
    for (auto& [at, faults] : by_memory_word) {
      faults.words = 72;
      if (faults.flips.front().index % 8 == 0) {
        faults.check_bits = {{at, 0xFF}};
        ++memory_words_hit;
      }
      for (const WordFault& left : ResidualFlips(model.protection, faults, kInt8, golden)) {
        expected[{0, left.index}] = left.mask;
      }
    }
    EXPECT_EQ(Masks(*source.Draw(target, kSeed, 0, 1, golden)), expected) << target.name;
  }
  EXPECT_EQ(memory_words_hit, 9);
}

TEST(FaultSource, SchemesSeeTheSameHitsOfTheStoredWords) {
  const WordMasks raw = Masks(Draw({}, Model(), 1e-2));
  for (const auto& [word, mask] : Masks(Draw(With(Protection::Scheme::kTmr), Model(), 1e-2))) {
    if ((mask & 0x3F) != 0) {  // bits that are stored once
      EXPECT_EQ(mask & 0x3F, raw.at(word) & 0x3F);
    }
  }
  FaultModel safe = With(Protection::Scheme::kParity);
  safe.protection.check_bits_exposed = false;
  WordMasks expected;
  for (const auto& [word, mask] : raw) {
    expected[word] =
        __builtin_popcount(mask) % 2 == 1 ? Golden().Word(word.first, word.second) : mask;
  }
  EXPECT_EQ(Masks(Draw(safe, Model(), 1e-2)), expected);
}

TEST(FaultSource, CheckBitsAreNotHitWithSingleBitPositions) {
  Granularity bit;
  bit.kind = Granularity::Kind::kBit;
  const Target sign = Named(bit, "bit7");
  const WordMasks raw = Masks(Draw({}, sign, 1e-2));
  const WordMasks left = Masks(Draw(With(Protection::Scheme::kParity), sign, 1e-2));
  ASSERT_EQ(left.size(), raw.size());
  for (const auto& [word, mask] : raw) {
    EXPECT_EQ(left.at(word), Golden().Word(word.first, word.second));
  }
  // Where all positions can be hit, some words fall to their check bit alone.
  EXPECT_GT(Masks(Draw(With(Protection::Scheme::kParity), Model(), 1e-2)).size(),
            Masks(Draw({}, Model(), 1e-2)).size());
}

TEST(FaultSource, SetsAreProtectedAsTheFlipsThatTheyMake) {
  FaultModel stuck = With(Protection::Scheme::kParity);
  stuck.kind = FaultModel::Kind::kStuckAt0;
  stuck.protection.check_bits_exposed = false;
  FaultModel bare = stuck;
  bare.protection = {};
  WordMasks expected;
  for (const auto& [word, mask] : Masks(Draw(bare, Model(), 1e-2))) {
    const uint32_t golden = Golden().Word(word.first, word.second);
    if ((mask & golden) != 0) {
      expected[word] = __builtin_popcount(mask & golden) % 2 == 1 ? golden : mask & golden;
    }
  }
  EXPECT_EQ(Masks(Draw(stuck, Model(), 1e-2)), expected);
}

// Every kind and sampling that can be protected from hitting bits.
std::vector<FaultModel> AllModels() {
  std::vector<FaultModel> models(6);
  models[1].kind = FaultModel::Kind::kStuckAt0;
  models[2].kind = FaultModel::Kind::kBurst;
  models[2].burst_length = 3;
  models[3].kind = FaultModel::Kind::kWord;
  models[4].kind = FaultModel::Kind::kList;
  models[4].list = {{"blocks.0.attn.qkv.weight", 0, 7},
                    {"blocks.0.attn.qkv.weight", 0, 1},
                    {"blocks.1.attn.qkv.weight", 3, 7},
                    {"head.weight", 3, 7}};
  models[5].positions = {6, 7};
  return models;
}

TEST(FaultSource, FaultsOfUnprotectedBitsAreThoseWithoutProtection) {
  const std::vector<FaultModel::Protected> protect = {
      {"blocks.0", "", 2}, {"blocks.1.attn.h2", "", 0}, {"", "^head", 0}};
  const ProtectedBits bits = *ProtectedBits::Find(SmallVit(), protect, kInt8);
  for (FaultModel model : AllModels()) {
    const WordMasks without = Masks(Draw(model, Model(), 2e-2, 5));
    model.protect = protect;
    WordMasks expected;
    for (const auto& [word, mask] : without) {
      if (const uint32_t left = mask & ~bits.Of(word.first, word.second); left != 0) {
        expected[word] = left;
      }
    }
    EXPECT_LT(expected.size(), without.size()) << model.Name();
    EXPECT_EQ(Masks(Draw(model, Model(), 2e-2, 5)), expected) << model.Name();
  }
}

TEST(FaultSource, NumbersOfBitsAreOfThoseThatAreNotProtected) {
  FaultModel model;
  model.sampling = FaultModel::Sampling::kExact;
  model.protect = {{"mlp", "", 0}, {"model", "", 3}};
  const FaultSource source = *FaultSource::Make(SmallVit(), model, kInt8);
  // 3 blocks of 4 x 32 x 32 words in attention, embed 32 + 17 x 32 + 32 x 48, head 10 x 32.
  const int64_t words = 3 * 4 * 1024 + 32 + 17 * 32 + 32 * 48 + 320;
  EXPECT_EQ(source.ExposedBits(Model()), 5 * words);
  const FaultList list = *source.Draw(Model(), kSeed, 0, 0.1, Golden());
  EXPECT_EQ(list.flips(), std::llround(0.1 * static_cast<double>(5 * words)));
  model.sampling = FaultModel::Sampling::kCount;
  model.count = 5 * words;
  EXPECT_EQ(Draw(model, Model(), 0).flips(), 5 * words);
  model.count = 5 * words + 1;
  EXPECT_FALSE(
      FaultSource::Make(SmallVit(), model, kInt8)->Draw(Model(), kSeed, 0, 0, Golden()).ok());
}

TEST(FaultSource, AProtectedBitNeverFlipsWhateverTheSchemeDoes) {
  const std::vector<FaultModel::Protected> protect = {{"blocks.0.q", "", 1}, {"blocks.1", "", 0}};
  const ProtectedBits bits = *ProtectedBits::Find(SmallVit(), protect, kInt8);
  for (const Protection::Scheme scheme : {Protection::Scheme::kSecded, Protection::Scheme::kParity,
                                          Protection::Scheme::kTmr, Protection::Scheme::kClamp}) {
    FaultModel model = With(scheme);
    model.protect = protect;
    int flips = 0;
    for (uint32_t trial = 0; trial < 20; ++trial) {
      for (const auto& [word, mask] : Masks(Draw(model, Model(), 3e-2, trial))) {
        ASSERT_EQ(mask & bits.Of(word.first, word.second), 0u);
        ++flips;
      }
    }
    EXPECT_GT(flips, 1000);
  }
}

TEST(FaultSource, RefusesCheckBitsWithoutARateOfTheirOwn) {
  FaultModel model = With(Protection::Scheme::kSecded);
  model.kind = FaultModel::Kind::kBurst;
  model.burst_length = 2;
  EXPECT_EQ(FaultSource::Make(SmallVit(), model, kInt8).status().code(),
            absl::StatusCode::kInvalidArgument);
  model.protection.check_bits_exposed = false;
  EXPECT_TRUE(FaultSource::Make(SmallVit(), model, kInt8).ok());
  EXPECT_EQ(
      FaultSource::Make(SmallVit(), With(Protection::Scheme::kTmr), {NumberFormat::Kind::kInt, 1})
          .status()
          .code(),
      absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace bitquake
