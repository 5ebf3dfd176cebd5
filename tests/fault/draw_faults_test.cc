// What each fault model draws, against the bit flips of the same seed, tensor, trial and rate.
#include <cmath>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "common/fault/fault_list.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fault/vit_surface.h"

namespace bitquake {
namespace {

using ::testing::HasSubstr;
using Kind = FaultModel::Kind;
using Sampling = FaultModel::Sampling;
using Effect = FaultList::Effect;

constexpr NumberFormat kInt8 = {NumberFormat::Kind::kInt, 8};
constexpr double kSigmas = 4.5;

// Masks (or values) by tensor and word.
using Words = std::map<std::pair<int, int64_t>, uint32_t>;

Words Masks(const FaultList& list) {
  Words masks;
  for (const TensorFaults& hit : list.tensors) {
    for (const WordFault& fault : hit.faults) {
      EXPECT_NE(fault.mask, 0u);
      EXPECT_EQ(fault.value & ~fault.mask, 0u);
      EXPECT_TRUE(masks.insert({{hit.tensor, fault.index}, fault.mask}).second);
    }
  }
  return masks;
}

Words Values(const FaultList& list) {
  Words values;
  for (const TensorFaults& hit : list.tensors) {
    for (const WordFault& fault : hit.faults) {
      values[{hit.tensor, fault.index}] = fault.value;
    }
  }
  return values;
}

class DrawFaultsTest : public ::testing::Test {
 protected:
  FaultList Draw(const FaultModel& model, double ber = 0.01, uint32_t trial = 7,
                 NumberFormat format = kInt8) const {
    absl::StatusOr<FaultList> list = DrawFaults(surface_, target_, model, format, 2418, trial, ber);
    EXPECT_TRUE(list.ok()) << list.status();
    return *std::move(list);
  }

  static FaultModel Model(Kind kind) {
    FaultModel model;
    model.kind = kind;
    return model;
  }

  void ExpectRefused(const FaultModel& model, const char* why) const {
    for (const absl::Status& status :
         {DrawFaults(surface_, target_, model, kInt8, 1, 0, 0.5).status(),
          CheckFaults(surface_, {target_}, model, kInt8)}) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << why;
      EXPECT_THAT(status.message(), HasSubstr(why));
    }
  }

  const Surface surface_ = VitSurface(2);
  Target target_ = ExpandTargets(surface_, {Granularity::Kind::kModel}, kInt8).value()[0];
};

TEST_F(DrawFaultsTest, PositionsOfModelAndTargetMaskTheSameFlips) {
  const Words all = Masks(Draw(FaultModel()));
  FaultModel model;
  model.positions = {1, 6, 7};
  target_.positions = 0xFFFFFF82;  // of 32: what the format lacks does not count
  Words expected;
  for (const auto& [word, mask] : all) {
    if ((mask & 0x82) != 0) expected[word] = mask & 0x82;
  }
  ASSERT_GT(expected.size(), 100u);
  EXPECT_EQ(Masks(Draw(model)), expected);
  EXPECT_EQ(Draw(model, 1).flips(), 2 * target_.words());
  EXPECT_EQ(Draw(model, 1).flips(), ExposedBits(target_, kInt8, model));
}

TEST_F(DrawFaultsTest, StuckBitsAreTheFlippedOnesWithTheirValue) {
  const Words flipped = Masks(Draw(FaultModel()));
  Words zeros;
  for (const auto& [word, mask] : flipped) zeros[word] = 0;
  for (const Kind kind : {Kind::kStuckAt0, Kind::kStuckAt1}) {
    const FaultList stuck = Draw(Model(kind));
    EXPECT_EQ(stuck.effect, Effect::kSet);
    EXPECT_EQ(Masks(stuck), flipped);
    EXPECT_EQ(Values(stuck), kind == Kind::kStuckAt0 ? zeros : flipped);
  }
  EXPECT_EQ(Draw(FaultModel()).effect, Effect::kFlip);
}

TEST_F(DrawFaultsTest, ExactIsTheRoundedNumberOfBits) {
  FaultModel model;
  model.sampling = Sampling::kExact;
  const double bits = static_cast<double>(target_.words() * 8);
  for (const double number : {0.0, 0.49, 0.51, 1.0, 2.49, 1000.6}) {
    EXPECT_EQ(Draw(model, number / bits).flips(), std::llround(number)) << number;
  }
  EXPECT_EQ(Draw(model, 1).flips(), target_.words() * 8);
  model.positions = {3};
  EXPECT_EQ(Draw(model, 8 * 100 / bits).flips(), 100);
}

TEST_F(DrawFaultsTest, CountIsWhateverTheRate) {
  FaultModel model = Model(Kind::kStuckAt1);
  model.sampling = Sampling::kCount;
  model.count = 37;
  EXPECT_EQ(Draw(model, 0).flips(), 37);
  EXPECT_EQ(Draw(model, 0).effect, Effect::kSet);
  EXPECT_EQ(Masks(Draw(model, 0)), Masks(Draw(model, 0.5)));
  EXPECT_NE(Masks(Draw(model, 0, 7)), Masks(Draw(model, 0, 8)));
  model.count = target_.words() * 8 + 1;
  ExpectRefused(model, "target 'model' has only");
}

TEST_F(DrawFaultsTest, BurstsRunUpwardsFromTheFlippedBitsToTheEndOfTheWord) {
  const Words begun = Masks(Draw(FaultModel(), 0.05));
  int cut = 0;
  for (int length = 1; length <= 8; ++length) {
    FaultModel model = Model(Kind::kBurst);
    model.burst_length = length;
    Words expected;
    for (const auto& [word, mask] : begun) {
      for (int bit = 0; bit < 8; ++bit) {
        for (int i = 0; i < length && (mask >> bit & 1) != 0; ++i) {
          if (bit + i < 8) {
            expected[word] |= 1u << (bit + i);
          } else {
            ++cut;
          }
        }
      }
    }
    const FaultList bursts = Draw(model, 0.05);
    EXPECT_EQ(bursts.effect, Effect::kFlip);
    EXPECT_EQ(Masks(bursts), expected) << length;
    // Begun anywhere, cut to the positions.
    model.positions = {7};
    Words high;
    for (const auto& [word, mask] : expected) {
      if ((mask & 0x80) != 0) high[word] = 0x80;
    }
    EXPECT_EQ(Masks(Draw(model, 0.05)), high) << length;
  }
  EXPECT_GT(cut, 1000);
}

TEST_F(DrawFaultsTest, ABurstOf32BitsFillsTheWord) {
  FaultModel model = Model(Kind::kBurst);
  model.burst_length = 32;
  for (const auto& [word, mask] : Masks(Draw(model, 1e-3, 0, NumberFormat()))) {
    ASSERT_EQ(mask, ~uint32_t{0} << __builtin_ctz(mask));
  }
}

TEST_F(DrawFaultsTest, ReplacedWordsNestAcrossRatesAndKeepTheirValue) {
  Words previous;
  for (const double ber : {1e-4, 1e-3, 0.01, 0.1, 0.6, 1.0}) {
    const FaultList list = Draw(Model(Kind::kWord), ber);
    EXPECT_EQ(list.effect, Effect::kSet);
    for (const auto& [word, mask] : Masks(list)) ASSERT_EQ(mask, 0xFFu);
    const Words values = Values(list);
    for (const auto& [word, value] : previous) {
      ASSERT_EQ(values.count(word), 1u);
      ASSERT_EQ(values.at(word), value);
    }
    previous = values;
  }
  EXPECT_EQ(static_cast<int64_t>(previous.size()), target_.words());
}

TEST_F(DrawFaultsTest, PositionsRestrictTheReplacedBits) {
  FaultModel model = Model(Kind::kWord);
  const Words all = Values(Draw(model, 0.1));
  model.positions = {0, 7};
  const FaultList list = Draw(model, 0.1);
  for (const auto& [word, mask] : Masks(list)) ASSERT_EQ(mask, 0x81u);
  Words expected;
  for (const auto& [word, value] : all) expected[word] = value & 0x81;
  EXPECT_EQ(Values(list), expected);
}

TEST_F(DrawFaultsTest, ReplacedWordsAreUniformAndApartFromTheFlippedBits) {
  const double ber = 0.2;
  const double words = static_cast<double>(target_.words());
  std::vector<double> seen(256);
  double replaced = 0;
  double together = 0;  // with a flip of the word's bit 0 at the same rate
  const int trials = 20;
  for (uint32_t trial = 0; trial < trials; ++trial) {
    const Words flipped = Masks(Draw(FaultModel(), ber, trial));
    for (const auto& [word, value] : Values(Draw(Model(Kind::kWord), ber, trial))) {
      ++seen[value];
      ++replaced;
      const auto flip = flipped.find(word);
      together += flip != flipped.end() && (flip->second & 1) != 0;
    }
  }
  const auto sigmas = [&](double observed, double n, double p) {
    return std::fabs(observed - n * p) / std::sqrt(n * p * (1 - p));
  };
  EXPECT_LT(sigmas(replaced, words * trials, ber), kSigmas);
  EXPECT_LT(sigmas(together, words * trials, ber * ber), kSigmas);
  double chi_square = 0;
  for (const double times : seen) {
    chi_square += std::pow(times - replaced / 256, 2) / (replaced / 256);
  }
  EXPECT_LT(std::fabs(chi_square - 255) / std::sqrt(2 * 255), kSigmas);
}

TEST_F(DrawFaultsTest, AListOfDrawnBitsGivesThemBack) {
  const FaultList drawn = Draw(FaultModel());
  FaultModel model = Model(Kind::kList);
  for (const TensorFaults& hit : drawn.tensors) {
    for (const WordFault& fault : hit.faults) {
      for (int bit = 0; bit < 8; ++bit) {
        if ((fault.mask >> bit & 1) != 0) {
          // In no order.
          model.list.insert(model.list.size() % 3 == 0 ? model.list.begin() : model.list.end(),
                            {surface_[hit.tensor].name, fault.index, bit});
        }
      }
    }
  }
  const FaultList listed = Draw(model, 0, 99);
  EXPECT_EQ(listed.effect, Effect::kFlip);
  EXPECT_EQ(listed.Digest(surface_), drawn.Digest(surface_));
  EXPECT_TRUE(CheckFaults(surface_, {target_}, model, kInt8).ok());
  // Of a part of the model, that part.
  target_ = ExpandTargets(surface_, {Granularity::Kind::kHead}, kInt8).value()[3];
  EXPECT_GT(Draw(FaultModel()).flips(), 0);
  EXPECT_EQ(Draw(model).Digest(surface_), Draw(FaultModel()).Digest(surface_));
}

TEST_F(DrawFaultsTest, ListedBitsThatDoNotExistAreNamed) {
  FaultModel model = Model(Kind::kList);
  const FaultModel::ListedBit fine = {"blocks.1.mlp.fc1.weight", 5, 3};
  model.list = {fine, {"blocks.1.mlp.fc1.wieght", 0, 0}};
  ExpectRefused(model, "fault list, entry 2: no tensor 'blocks.1.mlp.fc1.wieght'");
  ExpectRefused(model, "did you mean 'blocks.1.mlp.fc1.weight'");
  model.list = {{"cls_token", 32, 0}, fine};
  ExpectRefused(model, "fault list, entry 1: word 32 of cls_token is not one of 0 to 31");
  model.list = {fine, fine, {"cls_token", -1, 0}};
  ExpectRefused(model, "fault list, entry 3: word -1");
  model.list = {fine, {"cls_token", 3, 8}};
  ExpectRefused(model, "fault list, entry 2: bit 8 of cls_token");
  model.list = {fine, {"cls_token", 3, 1}, fine};
  ExpectRefused(model,
                "fault list, entry 3: bit 3 of word 5 of blocks.1.mlp.fc1.weight is that of "
                "entry 1 too");
}

TEST_F(DrawFaultsTest, FaultsThatTheFormatCannotHaveAreRefused) {
  FaultModel model;
  model.positions = {8};
  ExpectRefused(model, "fault position 8");
  model = Model(Kind::kBurst);
  model.burst_length = 9;
  ExpectRefused(model, "burst");
}

}  // namespace
}  // namespace bitquake
