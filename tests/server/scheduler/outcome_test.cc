// Outcomes are checked, counted once, and never believed blindly.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "tests/server/cluster.h"

namespace bitquake {
namespace {

using testing::HasSubstr;

constexpr char kSums[] =
    "SELECT coalesce(sum(images * 1000003 + top1 * 10007 + top5 * 1009 + sdc * 101 + due * 11 + "
    "folds_done), 0) FROM trials";

WorkerSnapshot Find(TestCoordinator& coordinator, const std::string& id) {
  Pending<std::vector<WorkerSnapshot>> reply;
  coordinator->ListWorkers(reply.Callback());
  const auto workers = reply.Get();
  for (const WorkerSnapshot& worker : *workers) {
    if (worker.identity.id == id) {
      return worker;
    }
  }
  ADD_FAILURE() << "no worker " << id;
  return {};
}

bool ToldToDrain(TestCoordinator& coordinator, const std::string& id) {
  Pending<HeartbeatReply> reply;
  coordinator->Heartbeat(id, {}, reply.Callback());
  return reply.Get()->drain;
}

struct WrongOutcome {
  const char* name;
  std::function<void(TrialOutcomeReport&)> spoil;
  const char* why;
};
std::ostream& operator<<(std::ostream& out, const WrongOutcome& wrong) { return out << wrong.name; }

class WrongOutcomeTest : public testing::TestWithParam<WrongOutcome> {};

TEST_P(WrongOutcomeTest, QuarantinesTheWorkerAndIsNotInTheResults) {
  TestCoordinator coordinator;
  TestWorker good(&coordinator, "good");
  const std::string id = coordinator.Submit();
  // The first fold of every trial is done, so that its fault list is known.
  good.AnswerAll(*good.WorkUntil(JobKind::kTrials));
  TestWorker bad(&coordinator, "bad");
  const auto grant = bad.Lease();
  ASSERT_NE(grant, nullptr);
  ASSERT_EQ(grant->jobs[0].fold, 1);
  const int64_t sums = coordinator.Query(kSums);
  const int64_t done = coordinator.Snapshot(id).jobs_done;

  TrialOutcomeReport outcome = TestWorker::RightTrial(*grant, grant->jobs[0]);
  GetParam().spoil(outcome);
  EXPECT_TRUE(bad.Report(*grant, outcome).ok()) << "acknowledged, and not believed";
  EXPECT_EQ(coordinator.Query(kSums), sums);
  EXPECT_EQ(coordinator.Snapshot(id).jobs_done, done);
  EXPECT_EQ(coordinator.Snapshot(id).jobs_leased, 0) << "what it held has gone back";
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM alarms WHERE worker = 'bad'"), 1);
  EXPECT_EQ(coordinator->counters().digest_mismatches, 1);
  EXPECT_THAT(Find(coordinator, "bad").quarantine, HasSubstr(GetParam().why));
  EXPECT_TRUE(ToldToDrain(coordinator, "bad"));
  EXPECT_FALSE(ToldToDrain(coordinator, "good"));

  // Nothing more is believed or given, not even after a restart.
  coordinator.Restart();
  ASSERT_TRUE(bad.Answer(*grant, grant->jobs[0]).ok());
  EXPECT_EQ(coordinator.Query(kSums), sums);
  EXPECT_EQ(bad.AskForLease(100, absl::ZeroDuration()).Get().status().code(),
            absl::StatusCode::kPermissionDenied);

  ASSERT_NO_FATAL_FAILURE(good.WorkToEnd());
  EXPECT_EQ(coordinator.Snapshot(id).state, "done");
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcomes WHERE worker = 'bad'"), 0);
}

INSTANTIATE_TEST_SUITE_P(
    Outcomes, WrongOutcomeTest,
    testing::Values(
        WrongOutcome{"ImageCount", [](TrialOutcomeReport& o) { ++o.images; }, "images"},
        WrongOutcome{"FewerFlips", [](TrialOutcomeReport& o) { --o.flips; }, "flipped"},
        WrongOutcome{"MoreThanThereAre", [](TrialOutcomeReport& o) { o.top1 = 1'000'000; }, "top1"},
        WrongOutcome{"Negative", [](TrialOutcomeReport& o) { o.sdc = -5; }, "sdc"},
        WrongOutcome{"Inferences", [](TrialOutcomeReport& o) { o.inferences = o.images + 1; },
                     "inferences"},
        WrongOutcome{"Top1AboveTop5", [](TrialOutcomeReport& o) { o.top5 = o.top1 - 1; }, "top5"},
        WrongOutcome{"Sum", [](TrialOutcomeReport& o) { --o.right_to_wrong; }, "right to wrong"},
        WrongOutcome{"WrongWithoutAnotherPrediction",
                     [](TrialOutcomeReport& o) { o.sdc = o.due = 0; }, "sdc"},
        WrongOutcome{"NothingFlipped",
                     [](TrialOutcomeReport& o) {
                       o.flips = o.flips_wanted = 0;
                       o.flips_per_bit.assign(8, 0);
                     },
                     "nothing was flipped"},
        WrongOutcome{"FlipsPerBit",
                     [](TrialOutcomeReport& o) {
                       o.flips_per_bit[0] += 5;
                       o.flips_per_bit[1] -= 5;
                     },
                     "flips_per_bit"}),
    [](const auto& info) { return info.param.name; });

TEST(FaultsDigest, OfOneAgainstOnePausesTheCampaignAndBlamesNobody) {
  TestCoordinator coordinator;
  TestWorker one(&coordinator, "one");
  const std::string id = coordinator.Submit();
  one.AnswerAll(*one.WorkUntil(JobKind::kTrials));  // the first fold of every trial
  TestWorker other(&coordinator, "other");
  const auto grant = other.Lease();
  TrialOutcomeReport outcome = TestWorker::RightTrial(*grant, grant->jobs[0]);
  outcome.faults_digest = "different";
  const int64_t sums = coordinator.Query(kSums);
  ASSERT_TRUE(other.Report(*grant, outcome).ok());
  EXPECT_EQ(coordinator.Query(kSums), sums);
  const CampaignSnapshot now = coordinator.Snapshot(id);
  EXPECT_EQ(now.state, "paused");
  EXPECT_THAT(now.error, AllOf(HasSubstr("'one'"), HasSubstr("'other'"), HasSubstr("different")));
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM alarms"), 1);
  EXPECT_EQ(Find(coordinator, "one").quarantine, "");
  EXPECT_EQ(Find(coordinator, "other").quarantine, "");
}

TEST(FaultsDigest, OfOneAgainstItselfQuarantinesIt) {
  TestCoordinator coordinator;
  TestWorker one(&coordinator, "one");
  const std::string id = coordinator.Submit();
  one.AnswerAll(*one.WorkUntil(JobKind::kTrials));
  const auto grant = one.Lease();
  TrialOutcomeReport outcome = TestWorker::RightTrial(*grant, grant->jobs[0]);
  outcome.faults_digest = "different";
  ASSERT_TRUE(one.Report(*grant, outcome).ok());
  EXPECT_THAT(Find(coordinator, "one").quarantine, HasSubstr("fault list"));
  EXPECT_EQ(coordinator.Snapshot(id).state, "running");
}

TEST(FlipCounts, OfOneFaultListAreOne) {
  TestCoordinator coordinator;
  TestWorker one(&coordinator, "one");
  const std::string id = coordinator.Submit();
  one.AnswerAll(*one.WorkUntil(JobKind::kTrials));
  TestWorker other(&coordinator, "other");
  const auto grant = other.Lease();
  TrialOutcomeReport outcome = TestWorker::RightTrial(*grant, grant->jobs[0]);
  ASSERT_GT(outcome.flips_per_bit[0], 0);
  --outcome.flips_per_bit[0];
  ++outcome.flips_per_bit[1];
  ASSERT_TRUE(other.Report(*grant, outcome).ok());
  EXPECT_EQ(coordinator.Snapshot(id).state, "paused");
  EXPECT_THAT(coordinator.Snapshot(id).error, HasSubstr(outcome.faults_digest));
}

// Two workers on one campaign; the right outcome of a trial's job that the first has leased.
class TwoWorkersTest : public testing::Test {
 protected:
  explicit TwoWorkersTest(SchedulerOptions options = {}) : coordinator_(options) {}

  TestCoordinator coordinator_;
  TestWorker one_{&coordinator_, "one"};
  TestWorker other_{&coordinator_, "other"};
  const std::string id_ = coordinator_.Submit();
  const std::unique_ptr<LeaseGrant> grant_ = one_.WorkUntil(JobKind::kTrials);
  TrialOutcomeReport outcome_ = TestWorker::RightTrial(*grant_, grant_->jobs[0]);
};

// The same, where a failure sets jobs aside.
class PoisonedJobsTest : public TwoWorkersTest {
 protected:
  PoisonedJobsTest() : TwoWorkersTest(OneFailure()) {}

 private:
  static SchedulerOptions OneFailure() {
    SchedulerOptions options;
    options.max_failures = 1;
    return options;
  }
};

TEST_F(TwoWorkersTest, GoldenCountsOfOneAgainstOnePauseTheCampaignAndBlameNobody) {
  --outcome_.golden_top1;
  --outcome_.right_to_wrong;
  ASSERT_TRUE(other_.Report(*grant_, outcome_).ok());
  EXPECT_EQ(coordinator_.Snapshot(id_).state, "paused");
  EXPECT_THAT(coordinator_.Snapshot(id_).error, HasSubstr("the same golden logits"));
  EXPECT_EQ(coordinator_.Query("SELECT count(*) FROM outcomes"), 0);
  EXPECT_EQ(Find(coordinator_, "other").quarantine, "");
}

TEST_F(TwoWorkersTest, GoldenCountsOfOneAgainstItselfQuarantineIt) {
  --outcome_.golden_top1;
  --outcome_.right_to_wrong;
  ASSERT_TRUE(one_.Report(*grant_, outcome_).ok());
  EXPECT_THAT(Find(coordinator_, "one").quarantine, HasSubstr("the same golden logits"));
  EXPECT_EQ(coordinator_.Snapshot(id_).state, "running");
  EXPECT_EQ(coordinator_.Query("SELECT count(*) FROM outcomes"), 0);
}

TEST_F(PoisonedJobsTest, GoldenDigestInACampaignThatIsDoneChangesNothing) {
  ASSERT_TRUE(one_.Fail(*grant_, "broken").ok());
  ASSERT_NO_FATAL_FAILURE(one_.WorkToEnd());
  const CampaignSnapshot done = coordinator_.Snapshot(id_);
  ASSERT_EQ(done.state, "done");
  ASSERT_GT(done.jobs_poisoned, 0);
  outcome_.golden_digest = "different";
  ASSERT_TRUE(other_.Report(*grant_, outcome_).ok());
  EXPECT_EQ(coordinator_.Snapshot(id_).state, "done");
  EXPECT_EQ(coordinator_.Snapshot(id_).jobs_poisoned, done.jobs_poisoned);
  EXPECT_EQ(coordinator_.Query("SELECT count(*) FROM jobs WHERE state = 'ready'"), 0);
  EXPECT_EQ(other_.Lease(), nullptr);
}

TEST_F(PoisonedJobsTest, GoldenDigestGivesTheJobBackAndCountsItNoMore) {
  ASSERT_TRUE(one_.Fail(*grant_, "broken").ok());
  const int64_t poisoned = coordinator_.Snapshot(id_).jobs_poisoned;
  ASSERT_GT(poisoned, 0);
  outcome_.golden_digest = "different";
  ASSERT_TRUE(other_.Report(*grant_, outcome_).ok());
  EXPECT_EQ(coordinator_.Snapshot(id_).state, "paused");
  EXPECT_EQ(coordinator_.Snapshot(id_).jobs_poisoned, poisoned - 1);
  EXPECT_EQ(coordinator_.Query("SELECT count(*) FROM jobs WHERE state = 'poisoned'"), poisoned - 1);
}

TEST(Probe, OfFoldsThatAreNotTheImagesQuarantinesTheWorker) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  coordinator.Submit();
  const auto grant = worker.Lease();
  ASSERT_EQ(grant->kind, JobKind::kProbe);
  ProbeOutcome probe = TestWorker::RightProbe(*grant);
  ++probe.images;
  ASSERT_TRUE(worker.Report(*grant, probe).ok());
  EXPECT_THAT(Find(coordinator, "w").quarantine, HasSubstr("folds"));
}

TEST_F(TwoWorkersTest, GoldenDigestOfOneAgainstOnePausesTheCampaignAndBlamesNobody) {
  outcome_.golden_digest = "different";
  ASSERT_TRUE(other_.Report(*grant_, outcome_).ok());
  const CampaignSnapshot now = coordinator_.Snapshot(id_);
  EXPECT_EQ(now.state, "paused");
  EXPECT_THAT(now.error, AllOf(HasSubstr("'one'"), HasSubstr("'other'"), HasSubstr("different")));
  EXPECT_EQ(coordinator_.Query("SELECT count(*) FROM outcomes"), 0);
  EXPECT_EQ(coordinator_.Query("SELECT count(*) FROM alarms"), 1);
  EXPECT_EQ(Find(coordinator_, "one").quarantine, "");
  EXPECT_EQ(Find(coordinator_, "other").quarantine, "");
  EXPECT_EQ(other_.Lease(), nullptr);
}

TEST(GoldenDigest, OfOneAgainstTwoQuarantinesTheOne) {
  TestCoordinator coordinator;
  TestWorker one(&coordinator, "one");
  TestWorker two(&coordinator, "two");
  TestWorker third(&coordinator, "third");
  const std::string id = coordinator.Submit();
  const auto grant = one.WorkUntil(JobKind::kTrials);
  ASSERT_TRUE(two.Answer(*grant, grant->jobs[0]).ok());
  TrialOutcomeReport outcome = TestWorker::RightTrial(*grant, grant->jobs[1]);
  ASSERT_EQ(grant->jobs[1].fold, grant->jobs[0].fold);
  outcome.golden_digest = "different";
  ASSERT_TRUE(third.Report(*grant, outcome).ok());
  EXPECT_EQ(coordinator.Snapshot(id).state, "running");
  EXPECT_THAT(Find(coordinator, "third").quarantine, HasSubstr("golden logits"));
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcomes"), 1);
}

TEST(GoldenOutcome, OverOtherImagesQuarantinesTheWorker) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  coordinator.Submit();
  const auto grant = worker.WorkUntil(JobKind::kGolden);
  GoldenOutcomeReport golden = TestWorker::RightGolden(*grant, grant->jobs[0]);
  ++golden.images;
  ASSERT_TRUE(worker.Report(*grant, golden).ok());
  EXPECT_THAT(Find(coordinator, "w").quarantine, HasSubstr("images"));
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM goldens"), 0);
}

TEST(Outcome, ForACampaignThatIsNotInTheStoreChangesNothing) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit();
  auto grant = worker.WorkUntil(JobKind::kTrials);
  const int64_t done = coordinator.Snapshot(id).jobs_done;
  LeaseGrant elsewhere = *grant;
  elsewhere.campaign = "of-another-store";
  ASSERT_TRUE(worker.Answer(elsewhere, grant->jobs[0]).ok()) << "acknowledged, to be forgotten";
  ASSERT_TRUE(worker.Fail(elsewhere, "no such model", /*permanent=*/true).ok());
  ASSERT_TRUE(worker.Report(elsewhere, LeaseEnd{}).ok());
  const CampaignSnapshot now = coordinator.Snapshot(id);
  EXPECT_EQ(now.jobs_done, done);
  EXPECT_EQ(now.jobs_leased, static_cast<int64_t>(grant->jobs.size()));
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcomes"), 0);
}

TEST(Outcome, OfAnotherCampaignsJobOrAnotherKindIsRefused) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  coordinator.Submit();
  const auto grant = worker.WorkUntil(JobKind::kTrials);
  LeaseGrant elsewhere = *grant;
  elsewhere.campaign = coordinator.Submit(kSmallCampaign, "other");
  EXPECT_EQ(worker.Answer(elsewhere, grant->jobs[0]).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(worker.Report(*grant, TestWorker::RightGolden(*grant, grant->jobs[0])).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcomes"), 0);
}

TEST(Quarantine, EndsWithANewProcess) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w", "first");
  coordinator.Submit();
  const auto grant = worker.Lease();
  FailureReport failure;
  failure.jobs = {grant->jobs[0].job};
  failure.error = "a patch was not found again";
  failure.untrusted = true;
  ASSERT_TRUE(worker.Report(*grant, failure).ok());
  EXPECT_EQ(Find(coordinator, "w").quarantine, failure.error);
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM alarms WHERE kind = 'failed proof'"), 1);
  TestWorker same(&coordinator, "w", "first");
  EXPECT_TRUE(ToldToDrain(coordinator, "w"));
  TestWorker restarted(&coordinator, "w", "second");
  EXPECT_FALSE(ToldToDrain(coordinator, "w"));
  EXPECT_NE(restarted.Lease(), nullptr);
}

TEST(Outcome, OfAnotherDeviceKindMayHaveOtherDigests) {
  TestCoordinator coordinator;
  TestWorker cpu(&coordinator, "c", "first", "cpu");
  TestWorker gpu(&coordinator, "g", "first", "gpu");
  const std::string id = coordinator.Submit();
  const auto grant = cpu.WorkUntil(JobKind::kTrials);
  TrialOutcomeReport outcome = TestWorker::RightTrial(*grant, grant->jobs[0]);
  ASSERT_TRUE(cpu.Report(*grant, outcome).ok());
  // A late second outcome, then one with logits of its own kind.
  outcome.outcome_digest = "of a gpu";
  ASSERT_TRUE(gpu.Report(*grant, outcome).ok());
  outcome = TestWorker::RightTrial(*grant, grant->jobs[1]);
  outcome.golden_digest = "of a gpu";
  ASSERT_TRUE(gpu.Report(*grant, outcome).ok());
  EXPECT_EQ(coordinator->counters().duplicate_outcomes, 1);
  EXPECT_EQ(coordinator->counters().digest_mismatches, 0);
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcomes"), 2);
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM alarms"), 0);
}

TEST(Outcome, ASecondOneThatDiffersRaisesAnAlarmAndChangesNothing) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  TestWorker other(&coordinator, "other");
  const std::string id = coordinator.Submit();
  const auto grant = worker.WorkUntil(JobKind::kTrials);
  ASSERT_TRUE(worker.Answer(*grant, grant->jobs[0]).ok());
  const int64_t sums = coordinator.Query(kSums);
  const CampaignSnapshot before = coordinator.Snapshot(id);

  TrialOutcomeReport outcome = TestWorker::RightTrial(*grant, grant->jobs[0]);
  outcome.outcome_digest = "another";
  outcome.sdc = outcome.right_to_wrong = outcome.golden_top1;
  outcome.due = 0;
  outcome.top1 = 0;
  ASSERT_TRUE(other.Report(*grant, outcome).ok());
  EXPECT_EQ(coordinator.Query(kSums), sums);
  EXPECT_EQ(coordinator.Snapshot(id).jobs_done, before.jobs_done);
  EXPECT_EQ(coordinator.Snapshot(id).images_done, before.images_done);
  EXPECT_EQ(coordinator->counters().duplicate_outcomes, 1);
  EXPECT_EQ(coordinator->counters().digest_mismatches, 1);
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM alarms WHERE kind = 'second outcome differs' "
                              "AND worker = 'other'"),
            1);
}

TEST(Outcome, ASecondGoldenThatDiffersRaisesAnAlarm) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  coordinator.Submit();
  const auto grant = worker.WorkUntil(JobKind::kGolden);
  GoldenOutcomeReport golden = TestWorker::RightGolden(*grant, grant->jobs[0]);
  ASSERT_TRUE(worker.Report(*grant, golden).ok());
  ASSERT_TRUE(worker.Report(*grant, golden).ok());
  EXPECT_EQ(coordinator->counters().duplicate_outcomes, 1);
  EXPECT_EQ(coordinator->counters().digest_mismatches, 0);
  golden.digest = "another";
  ASSERT_TRUE(worker.Report(*grant, golden).ok());
  EXPECT_EQ(coordinator->counters().digest_mismatches, 1);
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM goldens WHERE digest = 'another'"), 0);
}

TEST(Outcome, OfAWorkerThatIsUnknownIsRefused) {
  TestCoordinator coordinator;
  Pending<bool> reply;
  coordinator->Report({"nobody", "small", 1, LeaseEnd{}},
                      [done = reply.Callback()](const absl::Status& status) { done(status); });
  EXPECT_EQ(reply.Get().status().code(), absl::StatusCode::kNotFound);
}

TEST(Outcome, TheLastOfACampaignLeavesNobodyAtWorkOnIt) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit();
  while (coordinator.Snapshot(id).state != "done") {
    const auto grant = worker.Lease();
    ASSERT_NE(grant, nullptr);
    EXPECT_EQ(coordinator.Snapshot(id).workers, 1);
    for (const LeasedJob& job : grant->jobs) {
      ASSERT_TRUE(worker.Answer(*grant, job).ok());
    }
    if (coordinator.Snapshot(id).state != "done") {
      ASSERT_TRUE(worker.Report(*grant, LeaseEnd{}).ok());
    }
  }
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM leases"), 1) << "its worker has not ended it";
  EXPECT_EQ(coordinator.Snapshot(id).workers, 0);
}

}  // namespace
}  // namespace bitquake
