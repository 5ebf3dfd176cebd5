#include "worker/agent/replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "common/campaign/fault_csv.h"
#include "tests/worker/agent/bench.h"

namespace bitquake {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kQkv[] = "blocks.1.attn.qkv.weight";

class ReplayTest : public BenchTest {
 protected:
  TrialSetup SetupOfTrial() {
    TrialSetup setup;
    setup.resolved_json = absl::StrCat(kCampaign, "keep: images\n");
    setup.data_digest = Dataset::Open(folder_.Path("data/set"))->Digest().value();
    setup.model = "vit";
    setup.model_digest = SnapshotDigest(folder_.Path("models/vit")).value();
    setup.chunk = 16;
    setup.format = "int8";
    setup.granularity_index = 1;
    setup.target = kQkv;
    setup.ber = 5e-2;
    setup.trial = 2;
    setup.folds = {0, 1};
    return setup;
  }
};

TEST_F(ReplayTest, FaultsAreTheBitsThatReallyFlipAndNeedNoImages) {
  const TrialSetup setup = SetupOfTrial();
  std::filesystem::remove_all(folder_.Path("data"));
  std::ostringstream printed;
  const absl::Status written = WriteFaults(setup, workbench_, printed);
  ASSERT_TRUE(written.ok()) << written;
  EXPECT_TRUE(script_.runs.empty());

  const Surface surface = OpenSnapshot(folder_.Path("models/vit"))->surface;
  Granularity granularity;
  granularity.kind = Granularity::Kind::kTensor;
  const NumberFormat format = NumberFormat::FromName("int8").value();
  const std::vector<Target> targets = ExpandTargets(surface, granularity, format).value();
  for (const Target& target : targets) {
    if (target.name != kQkv) {
      continue;
    }
    const FaultList flips =
        FakeFlips(DrawFaults(surface, target, FaultModel(), format, 2418, 2, 5e-2).value());
    ASSERT_GT(flips.flips(), 10);
    const auto listed = ParseFaultCsv(printed.str());
    ASSERT_TRUE(listed.ok()) << listed.status();
    ASSERT_EQ(static_cast<int64_t>(listed->size()), flips.flips());
    size_t next = 0;
    for (const WordFault& fault : flips.tensors[0].faults) {
      const FaultModel::ListedBit& bit = (*listed)[next++];
      EXPECT_EQ(bit.tensor, kQkv);
      EXPECT_EQ(bit.index, fault.index);
      EXPECT_EQ(1u << bit.bit, fault.mask);
    }
  }
}

TEST_F(ReplayTest, TheTrialIsMeasuredOnItsFoldsAndSummed) {
  const auto measured = MeasureAgain(SetupOfTrial(), workbench_, "cpu of the test");
  ASSERT_TRUE(measured.ok()) << measured.status();
  ASSERT_EQ(measured->folds.size(), 2u);
  for (int fold = 0; fold < 2; ++fold) {
    const TrialOutcome outcome = FakeOutcome(fold);
    const FoldMeasurement& found = measured->folds[fold];
    EXPECT_EQ(found.fold, fold);
    EXPECT_EQ(found.counts.top5, outcome.top5);
    EXPECT_EQ(found.counts.inferences, outcome.inferences);
    EXPECT_EQ(found.right_to_wrong, outcome.right_to_wrong);
    EXPECT_EQ(found.digest, outcome.digest);
    EXPECT_EQ(found.golden_digest, FakeGoldenDigest(fold));
    EXPECT_EQ(found.device_kind, "cpu of the test");
    EXPECT_EQ(found.correct, outcome.correct);
    EXPECT_EQ(found.attention_digest, DigestOf(outcome.attention));
  }
  EXPECT_EQ(measured->sum.top1, FakeOutcome(0).top1 + FakeOutcome(1).top1);
  EXPECT_EQ(measured->flips, FakeOutcome(1).flips);
  ASSERT_EQ(script_.runs.size(), 2u);
  const Surface surface = OpenSnapshot(folder_.Path("models/vit"))->surface;
  EXPECT_EQ(measured->faults_digest, script_.runs[0].faults[0].Digest(surface));
}

TEST_F(ReplayTest, OtherFilesThanThePinnedOnesAreAnErrorThatNamesThem) {
  TrialSetup setup = SetupOfTrial();
  setup.model_digest = std::string(64, 'f');
  std::ostringstream printed;
  EXPECT_THAT(WriteFaults(setup, workbench_, printed).message(), HasSubstr("model 'vit'"));
  EXPECT_THAT(MeasureAgain(setup, workbench_, "cpu").status().message(), HasSubstr("model 'vit'"));
  EXPECT_EQ(printed.str(), "");
  setup = SetupOfTrial();
  setup.data_digest = std::string(64, 'f');
  EXPECT_TRUE(WriteFaults(setup, workbench_, printed).ok());
  EXPECT_THAT(MeasureAgain(setup, workbench_, "cpu").status().message(),
              HasSubstr("data set 'set'"));
}

TEST_F(ReplayTest, ATargetThatTheModelDoesNotHaveIsAnError) {
  TrialSetup setup = SetupOfTrial();
  setup.target = "blocks.9.attn.qkv.weight";
  std::ostringstream printed;
  EXPECT_THAT(WriteFaults(setup, workbench_, printed).message(), HasSubstr("no target"));
}

}  // namespace
}  // namespace bitquake
