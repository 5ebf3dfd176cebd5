// What is kept of images and of heads: checked like all else, stored once, and only where it was
// asked for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "server/store/result_reader.h"
#include "tests/model/test_snapshot.h"
#include "tests/server/cluster.h"

namespace bitquake {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string QuarantineOf(TestCoordinator& coordinator, const std::string& id) {
  Pending<std::vector<WorkerSnapshot>> reply;
  coordinator->ListWorkers(reply.Callback());
  const auto workers = reply.Get();
  for (const WorkerSnapshot& worker : *workers) {
    if (worker.identity.id == id) {
      return worker.quarantine;
    }
  }
  return "no worker " + id;
}

struct Kept {
  std::vector<StoredFold> folds;
  std::vector<StoredFoldOutcome> outcomes;
};

Kept ReadKept(TestCoordinator& coordinator, const std::string& id) {
  Kept kept;
  auto db = Database::Open(coordinator.path(), Database::Mode::kReadOnly);
  EXPECT_TRUE(db.ok()) << db.status();
  const absl::Status read = ReadImages(
      *db, id,
      [&](StoredFold fold) {
        kept.folds.push_back(std::move(fold));
        return absl::OkStatus();
      },
      [&](StoredFoldOutcome outcome) {
        kept.outcomes.push_back(std::move(outcome));
        return absl::OkStatus();
      });
  EXPECT_TRUE(read.ok()) << read;
  return kept;
}

TEST(KeptImages, AreThoseOfEveryFoldAndEveryFinishedTrial) {
  TestCoordinator coordinator;
  coordinator.Submit(kSmallCampaign, "another campaign, whose cells come first");
  const std::string id = coordinator.Submit(kKeepingCampaign);
  TestWorker worker(&coordinator, "w");
  ASSERT_NO_FATAL_FAILURE(worker.WorkToEnd());
  const Kept kept = ReadKept(coordinator, id);
  ASSERT_EQ(kept.folds.size(), 2u);
  EXPECT_EQ(kept.folds[1].fold, 1);
  EXPECT_THAT(kept.folds[1].images, ElementsAre(1, 3, 5, 7));
  EXPECT_THAT(kept.folds[1].labels, ElementsAre(0, 0, 0, 1));
  ASSERT_EQ(kept.outcomes.size(), static_cast<size_t>(kTrialJobs));
  for (int i = 0; i < kTrialJobs; ++i) {  // by cell, trial, fold
    const StoredFoldOutcome& outcome = kept.outcomes[i];
    EXPECT_EQ(outcome.cell, i / 4);
    EXPECT_EQ(outcome.trial, static_cast<uint32_t>(i / 2 % 2));
    EXPECT_EQ(outcome.fold, i % 2);
    EXPECT_EQ(outcome.images, kFoldImages[i % 2]);
  }
  int64_t ones = 0;
  for (const StoredFoldOutcome& outcome : kept.outcomes) {
    ones += Bitmap::FromBytes(outcome.images, outcome.correct)->Count();
  }
  EXPECT_EQ(ones, coordinator.Query("SELECT sum(o.top1) FROM outcomes o JOIN cells c ON c.id = "
                                    "o.cell JOIN variants v ON v.id = c.variant WHERE v.campaign "
                                    "<> (SELECT id FROM campaigns WHERE ordinal = 1)"));
}

TEST(KeptImages, OfATrialThatIsNotFinishedAreNotTold) {
  TestCoordinator coordinator;
  const std::string id = coordinator.Submit(kKeepingCampaign);
  TestWorker worker(&coordinator, "w");
  const auto grant = worker.WorkUntil(JobKind::kTrials);
  ASSERT_TRUE(worker.Answer(*grant, grant->jobs[0]).ok());
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcome_images"), 1);
  EXPECT_TRUE(ReadKept(coordinator, id).outcomes.empty());
}

TEST(KeptImages, AreNoneWhereTheCampaignDoesNotAsk) {
  TestCoordinator coordinator;
  const std::string id = coordinator.Submit();
  TestWorker worker(&coordinator, "w");
  ASSERT_NO_FATAL_FAILURE(worker.WorkToEnd());
  EXPECT_EQ(coordinator.Snapshot(id).state, "done");
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcome_images"), 0);
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM fold_images"), 0);
}

TEST(KeptAttention, IsSummedOverTheFoldsOfGoldenAndOfEachFinishedTrial) {
  TestCoordinator coordinator;
  const std::string id = coordinator.Submit(kKeepingCampaign);
  TestWorker worker(&coordinator, "w");
  const auto grant = worker.WorkUntil(JobKind::kTrials);
  worker.AnswerAll(*grant);
  ASSERT_NO_FATAL_FAILURE(worker.WorkToEnd());
  auto db = Database::Open(coordinator.path(), Database::Mode::kReadOnly);
  const auto campaign = ReadCampaign(*db, id);
  ASSERT_EQ(campaign->goldens.size(), 2u);
  for (const GoldenResult& golden : campaign->goldens) {
    EXPECT_EQ(golden.attention.heads, 2);
    ASSERT_EQ(golden.attention.sums.size(), 6u);
    EXPECT_EQ(golden.attention.sums[5].mad, 10 + 11 + 2 * 5);
    EXPECT_EQ(golden.attention.sums[5].renormalised, 20 + 22 + 2 * 5);
  }
  std::vector<StoredAttention> trials;
  ASSERT_TRUE(ReadAttention(*db, id, [&](StoredAttention trial) {
                trials.push_back(std::move(trial));
                return absl::OkStatus();
              }).ok());
  ASSERT_EQ(trials.size(), 4u);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(trials[i].cell, i / 2);
    EXPECT_EQ(trials[i].trial, static_cast<uint32_t>(i % 2));
    LeasedJob job;
    job.cell = coordinator.Query("SELECT min(id) FROM cells") + i / 2;
    job.trial = i % 2;
    double sum = 0;
    for (job.fold = 0; job.fold < 2; ++job.fold) {
      sum += TestWorker::RightTrial(*grant, job).attention.sums[3].mad;
    }
    ASSERT_EQ(trials[i].distances.sums.size(), 6u);
    EXPECT_EQ(trials[i].distances.sums[3].mad, sum);
  }
}

TEST(KeptAttention, UnderFaultsMayBeNaN) {
  TestCoordinator coordinator;
  const std::string id = coordinator.Submit(kKeepingCampaign);
  TestWorker worker(&coordinator, "w");
  const auto grant = worker.WorkUntil(JobKind::kTrials);
  TrialOutcomeReport outcome = TestWorker::RightTrial(*grant, grant->jobs[0]);
  outcome.attention.sums[1].mad = std::numeric_limits<double>::quiet_NaN();
  ASSERT_TRUE(worker.Report(*grant, outcome).ok());
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcome_attention"), 1);
}

TEST(KeptAttention, OfGoldenOnlyIsNotKeptOfTrials) {
  TestCoordinator coordinator;
  std::string golden_only = kSmallCampaign;
  golden_only += "attention_distance: golden\n";
  coordinator.Submit(golden_only);
  TestWorker worker(&coordinator, "w");
  ASSERT_NO_FATAL_FAILURE(worker.WorkToEnd());
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM golden_attention"), kGoldenJobs);
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcome_attention"), 0);
}

TEST(KeptAttention, OfAModelWithoutItFailsTheCampaignWithTheReason) {
  TestCoordinator coordinator;
  const std::string id = coordinator.Submit(kKeepingCampaign);
  TestWorker worker(&coordinator, "w");
  const auto grant = worker.Lease();
  ProbeOutcome probe = TestWorker::RightProbe(*grant);
  probe.config_json = ConfigJson(TestSwin());
  probe.tensors.clear();
  for (const TestTensor& tensor : RandomTensors(TestSwin(), /*seed=*/1)) {
    probe.tensors.push_back({tensor.name, tensor.shape});
  }
  ASSERT_TRUE(worker.Report(*grant, probe).ok());
  const CampaignSnapshot failed = coordinator.Snapshot(id);
  EXPECT_EQ(failed.state, "failed");
  EXPECT_THAT(failed.error, HasSubstr("windows"));
}

TEST(KeptImages, ASecondOutcomeChangesNothing) {
  TestCoordinator coordinator;
  coordinator.Submit(kKeepingCampaign);
  TestWorker worker(&coordinator, "w");
  const auto grant = worker.WorkUntil(JobKind::kTrials);
  ASSERT_TRUE(worker.Answer(*grant, grant->jobs[0]).ok());
  ASSERT_TRUE(worker.Answer(*grant, grant->jobs[0]).ok());
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcome_images"), 1);
}

struct WrongTrial {
  const char* name;
  std::function<void(TrialOutcomeReport&)> spoil;
  const char* why;
};
std::ostream& operator<<(std::ostream& out, const WrongTrial& wrong) { return out << wrong.name; }
class WrongImagesTest : public testing::TestWithParam<WrongTrial> {};

TEST_P(WrongImagesTest, QuarantineTheWorkerAndAreNotStored) {
  TestCoordinator coordinator;
  coordinator.Submit(kKeepingCampaign);
  TestWorker worker(&coordinator, "w");
  const auto grant = worker.WorkUntil(JobKind::kTrials);
  TrialOutcomeReport outcome = TestWorker::RightTrial(*grant, grant->jobs[0]);
  ASSERT_EQ(outcome.images, 5);
  GetParam().spoil(outcome);
  EXPECT_TRUE(worker.Report(*grant, outcome).ok()) << "acknowledged, and not believed";
  EXPECT_THAT(QuarantineOf(coordinator, "w"), HasSubstr(GetParam().why));
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcomes"), 0);
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcome_images"), 0);
}

INSTANTIATE_TEST_SUITE_P(
    Images, WrongImagesTest,
    testing::Values(
        WrongTrial{
            "OneMoreRight",
            [](TrialOutcomeReport& o) { o.correct[0] = static_cast<char>(o.correct[0] ^ 0x10); },
            "bitmap 'correct' has"},
        WrongTrial{"OneMoreAsGolden",
                   [](TrialOutcomeReport& o) { o.same[0] = static_cast<char>(o.same[0] ^ 0x10); },
                   "bitmap 'same' has"},
        WrongTrial{"FewerHeads", [](TrialOutcomeReport& o) { o.attention.sums.pop_back(); },
                   "distances of 5 heads"},
        WrongTrial{"NoBitmap", [](TrialOutcomeReport& o) { o.correct.clear(); }, "1 bytes, not 0"},
        WrongTrial{"BitsBeyondTheFold",
                   [](TrialOutcomeReport& o) { o.same[0] = static_cast<char>(o.same[0] | 0x20); },
                   "after the last"}),
    [](const auto& info) { return info.param.name; });

struct WrongGolden {
  const char* name;
  std::function<void(GoldenOutcomeReport&)> spoil;
  const char* why;
};
std::ostream& operator<<(std::ostream& out, const WrongGolden& wrong) { return out << wrong.name; }
class WrongFoldTest : public testing::TestWithParam<WrongGolden> {};

TEST_P(WrongFoldTest, QuarantinesTheWorker) {
  TestCoordinator coordinator;
  coordinator.Submit(kKeepingCampaign);
  TestWorker good(&coordinator, "good");
  const auto grant = good.WorkUntil(JobKind::kGolden);  // of one variant
  good.AnswerAll(*grant);
  TestWorker bad(&coordinator, "bad");
  const auto other = bad.Lease();  // of the other variant, the same folds
  ASSERT_EQ(other->kind, JobKind::kGolden);
  ASSERT_NE(other->format, grant->format);
  GoldenOutcomeReport golden = TestWorker::RightGolden(*other, other->jobs[0]);
  GetParam().spoil(golden);
  ASSERT_TRUE(bad.Report(*other, golden).ok());
  EXPECT_THAT(QuarantineOf(coordinator, "bad"), HasSubstr(GetParam().why));
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM goldens WHERE worker = 'bad'"), 0);
}

INSTANTIATE_TEST_SUITE_P(
    Folds, WrongFoldTest,
    testing::Values(WrongGolden{"OtherImages", [](GoldenOutcomeReport& g) { ++g.image_numbers[1]; },
                                "other images or labels"},
                    WrongGolden{"OtherLabels",
                                [](GoldenOutcomeReport& g) {
                                  g.labels[0] = 1;
                                  g.labels.back() = 0;
                                },
                                "other images or labels"},
                    WrongGolden{"NoAttention", [](GoldenOutcomeReport& g) { g.attention = {}; },
                                "distances of 0 heads"},
                    WrongGolden{"AttentionThatIsNotFinite",
                                [](GoldenOutcomeReport& g) {
                                  g.attention.sums[2].renormalised =
                                      std::numeric_limits<double>::infinity();
                                },
                                "not finite"},
                    WrongGolden{"NoImages", [](GoldenOutcomeReport& g) { g.image_numbers.clear(); },
                                "names 0 images"},
                    WrongGolden{"HitsThatThePredictionsDoNotShow",
                                [](GoldenOutcomeReport& g) { --g.top1; }, "by its predictions"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace bitquake
