// Leases: repeated, waited for, renewed, expired, lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/server/cluster.h"

namespace bitquake {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::set<int64_t> JobsOf(const LeaseGrant& grant) {
  std::set<int64_t> jobs;
  for (const LeasedJob& job : grant.jobs) {
    jobs.insert(job.job);
  }
  return jobs;
}

std::vector<int64_t> EndedOf(TestCoordinator& coordinator, const TestWorker& worker,
                             std::vector<int64_t> leases) {
  Pending<HeartbeatReply> reply;
  coordinator->Heartbeat(worker.id(), std::move(leases), reply.Callback());
  const auto answer = reply.Get();
  EXPECT_TRUE(answer.ok()) << answer.status();
  return answer.ok() ? answer->ended_leases : std::vector<int64_t>{};
}

TEST(Lease, ARepeatedRequestNumberGivesTheSameLease) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  coordinator.Submit();
  worker.WorkUntil(JobKind::kGolden);  // leaves this lease held
  const auto first = worker.AskForLease(100, absl::ZeroDuration()).Get();
  ASSERT_TRUE(first.ok() && *first != nullptr);
  const auto again = worker.AskForLease(100, absl::ZeroDuration()).Get();
  ASSERT_TRUE(again.ok() && *again != nullptr);
  EXPECT_EQ((*again)->lease, (*first)->lease);
  EXPECT_EQ(JobsOf(**again), JobsOf(**first));
  EXPECT_EQ((*again)->resolved_json, (*first)->resolved_json);

  coordinator.Restart();  // the reply was lost with the coordinator
  const auto after = worker.AskForLease(100, absl::ZeroDuration()).Get();
  ASSERT_TRUE(after.ok() && *after != nullptr);
  EXPECT_EQ((*after)->lease, (*first)->lease);
  EXPECT_EQ(JobsOf(**after), JobsOf(**first));
}

TEST(Lease, NoJobIsInTwoLeases) {
  TestCoordinator coordinator;
  TestWorker first(&coordinator, "first");
  TestWorker second(&coordinator, "second");
  coordinator.Submit();
  const auto trials = first.WorkUntil(JobKind::kTrials);
  std::set<int64_t> jobs = JobsOf(*trials);
  size_t count = jobs.size();
  for (bool more = true; more;) {
    more = false;
    for (TestWorker* worker : {&first, &second}) {
      if (const auto grant = worker->Lease(); grant != nullptr) {
        more = true;
        count += grant->jobs.size();
        jobs.merge(JobsOf(*grant));
      }
    }
  }
  EXPECT_EQ(count, static_cast<size_t>(kTrialJobs));
  EXPECT_EQ(jobs.size(), count);
}

TEST(Lease, TrialsOfAFoldWaitForItsGoldenOutcome) {
  SchedulerOptions options;
  options.max_lease_jobs = 1;
  TestCoordinator coordinator(options);
  TestWorker slow(&coordinator, "slow");
  TestWorker quick(&coordinator, "quick");
  coordinator.Submit();
  slow.AnswerAll(*slow.Lease());
  // Golden jobs are those of fp32 on folds 0 and 1, then those of int8, which trials are in.
  quick.AnswerAll(*quick.Lease());
  quick.AnswerAll(*quick.Lease());
  const auto held = slow.Lease();
  ASSERT_EQ(held->kind, JobKind::kGolden);
  ASSERT_EQ(held->format, "int8");
  quick.AnswerAll(*quick.Lease());
  while (const auto grant = quick.Lease()) {
    ASSERT_EQ(grant->kind, JobKind::kTrials);
    EXPECT_NE(grant->jobs[0].fold, held->jobs[0].fold);
    quick.AnswerAll(*grant);
  }
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcomes"), kTrialJobs / 2);
  auto waiting = quick.AskForLease(1000, absl::Minutes(1));
  slow.AnswerAll(*held);
  const auto grant = waiting.Get();
  ASSERT_TRUE(grant.ok() && *grant != nullptr);
  EXPECT_EQ((*grant)->kind, JobKind::kTrials);
}

// Two cells and two folds as in kSmallCampaign, with many trials.
constexpr char kManyTrials[] =
    "name: many\nmodels: [vit]\ndataset: set\nformats: [int8]\ngranularities: [model]\n"
    "ber: [1e-6, 1e-3]\ntrials: 200\nfolds: 2\n";

TEST(Lease, TakesTrialsOfOneFoldFromAllWavesFirst) {
  SchedulerOptions options;
  options.pairs_per_wave = 1;  // a job of each fold
  options.ready_jobs = 20;
  TestCoordinator coordinator(options);
  TestWorker worker(&coordinator, "w");
  coordinator.Submit(kManyTrials);
  const auto trials = worker.WorkUntil(JobKind::kTrials);
  ASSERT_EQ(trials->jobs.size(), 4u);
  for (const LeasedJob& job : trials->jobs) {
    EXPECT_EQ(job.fold, trials->jobs[0].fold);
  }
}

// Answers a lease of trials after `time`, each with so many images run; returns the next one.
std::unique_ptr<LeaseGrant> NextAfter(TestCoordinator& coordinator, TestWorker& worker,
                                      const LeaseGrant& trials, absl::Duration time,
                                      int64_t inferences) {
  coordinator.Advance(time);
  for (const LeasedJob& job : trials.jobs) {
    TrialOutcomeReport outcome = TestWorker::RightTrial(trials, job);
    outcome.inferences = inferences;
    EXPECT_TRUE(worker.Report(trials, outcome).ok());
  }
  EXPECT_TRUE(worker.Report(trials, LeaseEnd{}).ok());
  return worker.Lease();
}

TEST(Lease, HoldsWhatTheWorkerDoesInItsTime) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  coordinator.Submit(kManyTrials);
  const auto first = worker.WorkUntil(JobKind::kTrials);
  ASSERT_EQ(first->jobs.size(), 4u);  // the speed is unknown
  // 20 images in 2 s; so 200 in the next 20 s, at 4.5 a job.
  const auto next = NextAfter(coordinator, worker, *first, absl::Seconds(2), 5);
  EXPECT_EQ(next->jobs.size(), 44u);
}

TEST(Lease, OfTrialsThatRanNothingSaysNothingOfTheSpeed) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  coordinator.Submit(kManyTrials);
  const auto first = worker.WorkUntil(JobKind::kTrials);
  const auto next = NextAfter(coordinator, worker, *first, absl::Milliseconds(1), 0);
  EXPECT_EQ(next->jobs.size(), 4u);
}

TEST(Lease, WhoIsUnknownMustRegister) {
  TestCoordinator coordinator;
  Pending<std::unique_ptr<LeaseGrant>> lease;
  coordinator->Lease("nobody", 1, absl::ZeroDuration(), lease.Callback());
  EXPECT_EQ(lease.Get().status().code(), absl::StatusCode::kNotFound);
  Pending<HeartbeatReply> heartbeat;
  coordinator->Heartbeat("nobody", {}, heartbeat.Callback());
  EXPECT_EQ(heartbeat.Get().status().code(), absl::StatusCode::kNotFound);
}

TEST(WaitingLease, IsServedWhenWorkArrives) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  auto reply = worker.AskForLease(100, absl::Seconds(30));
  coordinator->counters();
  EXPECT_FALSE(reply.arrived());
  const std::string id = coordinator.Submit();
  const auto grant = reply.Get();
  ASSERT_TRUE(grant.ok()) << grant.status();
  ASSERT_NE(*grant, nullptr);
  EXPECT_EQ((*grant)->campaign, id);
}

TEST(WaitingLease, IsNullAtItsDeadlineAndNotBefore) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  auto reply = worker.AskForLease(100, absl::Seconds(30));
  coordinator->counters();  // the request has begun to wait
  coordinator.Advance(absl::Seconds(29.999));
  EXPECT_FALSE(reply.arrived());
  coordinator.Advance(absl::Milliseconds(1));
  const auto grant = reply.Get();
  ASSERT_TRUE(grant.ok()) << grant.status();
  EXPECT_EQ(*grant, nullptr);
}

Pending<std::unique_ptr<LeaseGrant>> Close(TestCoordinator& coordinator, const std::string& worker,
                                           const std::string& instance, int64_t request_number) {
  Pending<std::unique_ptr<LeaseGrant>> closed;
  coordinator->CloseRequest(worker, instance, request_number, closed.Callback());
  return closed;
}

TEST(CloseRequest, TellsOfItsLeaseAndKeepsOthersFromIt) {
  TestCoordinator coordinator;
  coordinator.Submit();
  TestWorker worker(&coordinator, "w");
  const auto granted = worker.AskForLease(7, absl::ZeroDuration()).Get();
  ASSERT_TRUE(granted.ok()) << granted.status();
  ASSERT_NE(*granted, nullptr);
  auto closed = Close(coordinator, worker.id(), "first", 7);
  const auto again = closed.Get();
  ASSERT_TRUE(again.ok()) << again.status();
  ASSERT_NE(*again, nullptr);
  EXPECT_EQ((*again)->lease, (*granted)->lease);
}

TEST(CloseRequest, GrantsNothingToItFromThenOn) {
  TestCoordinator coordinator;
  coordinator.Submit();
  TestWorker worker(&coordinator, "w");
  auto closed = Close(coordinator, worker.id(), "first", 7);
  const auto nothing = closed.Get();
  ASSERT_TRUE(nothing.ok()) << nothing.status();
  EXPECT_EQ(*nothing, nullptr);
  const auto late = worker.AskForLease(7, absl::ZeroDuration()).Get();  // overtaken by the above
  ASSERT_TRUE(late.ok()) << late.status();
  EXPECT_EQ(*late, nullptr);
  EXPECT_NE(*worker.AskForLease(8, absl::ZeroDuration()).Get(), nullptr);
}

TEST(CloseRequest, OfAProcessThatIsNoMoreIsNotThatOfTheNext) {
  TestCoordinator coordinator;
  coordinator.Submit();
  const TestWorker old(&coordinator, "w", "old");
  TestWorker next(&coordinator, "w", "next");
  const auto lease = next.AskForLease(7, absl::ZeroDuration()).Get();
  ASSERT_TRUE(lease.ok()) << lease.status();
  ASSERT_NE(*lease, nullptr);
  ASSERT_TRUE(next.Answer(**lease, (*lease)->jobs[0]).ok());
  auto closed = Close(coordinator, "w", "old", 400);
  EXPECT_EQ(*closed.Get(), nullptr);
  EXPECT_NE(*next.AskForLease(8, absl::ZeroDuration()).Get(), nullptr);
}

TEST(CloseRequest, AnswersWhoStillWaitsSoThatOthersBehindAreServed) {
  TestCoordinator coordinator;
  TestWorker leaving(&coordinator, "leaving");
  TestWorker staying(&coordinator, "staying");
  auto waits = leaving.AskForLease(7, absl::Seconds(30));
  auto other = staying.AskForLease(1, absl::Seconds(30));
  auto closed = Close(coordinator, "leaving", "first", 7);
  EXPECT_EQ(*closed.Get(), nullptr);
  EXPECT_EQ(*waits.Get(), nullptr);
  auto late = leaving.AskForLease(7, absl::Seconds(30));  // was overtaken
  EXPECT_EQ(*late.Get(), nullptr) << "at once";
  coordinator.Submit();
  const auto grant = other.Get();
  ASSERT_TRUE(grant.ok()) << grant.status();
  EXPECT_NE(*grant, nullptr);
}

TEST(CloseRequest, OfAWorkerThatIsNotKnownIsAnError) {
  TestCoordinator coordinator;
  auto closed = Close(coordinator, "nobody", "first", 7);
  EXPECT_EQ(closed.Get().status().code(), absl::StatusCode::kNotFound);
}

TEST(WaitingLease, IsCancelledWhenTheCallerGoesAway) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  Pending<std::unique_ptr<LeaseGrant>> reply;
  const int64_t waiter = coordinator->Lease(worker.id(), 100, absl::Seconds(30), reply.Callback());
  coordinator->StopWaiting(waiter);
  EXPECT_EQ(reply.Get().status().code(), absl::StatusCode::kCancelled);
  coordinator.Submit();
  EXPECT_NE(worker.Lease(), nullptr) << "who went away has taken the job";
}

TEST(WaitingLease, IsUnavailableWhenTheCoordinatorStops) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  auto reply = worker.AskForLease(100, absl::Seconds(30));
  coordinator->Stop();
  EXPECT_EQ(reply.Get().status().code(), absl::StatusCode::kUnavailable);
}

TEST(Expiry, AJobIsHandedOutAgainWhenItsLeaseIsNotRenewed) {
  TestCoordinator coordinator;
  TestWorker lost(&coordinator, "lost");
  TestWorker other(&coordinator, "other");
  coordinator.Submit();
  const auto old = lost.Lease();
  coordinator.Advance(absl::Seconds(59));
  EXPECT_EQ(other.Lease(), nullptr);
  coordinator.Advance(absl::Seconds(1));
  const auto grant = other.Lease();
  ASSERT_NE(grant, nullptr);
  EXPECT_EQ(JobsOf(*grant), JobsOf(*old));
  EXPECT_GT(grant->lease, old->lease);
  EXPECT_EQ(coordinator->counters().lease_expirations, 1);
  EXPECT_THAT(EndedOf(coordinator, lost, {old->lease}), ElementsAre(old->lease));
}

TEST(Expiry, AHeartbeatPutsItOff) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  coordinator.Submit();
  const auto grant = worker.Lease();
  for (int i = 0; i < 5; ++i) {
    coordinator.Advance(absl::Seconds(59));
    EXPECT_THAT(EndedOf(coordinator, worker, {grant->lease}), IsEmpty());
  }
  EXPECT_EQ(coordinator->counters().lease_expirations, 0);
}

TEST(Expiry, AnothersHeartbeatDoesNotRenew) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  TestWorker other(&coordinator, "other");
  coordinator.Submit();
  const auto grant = worker.Lease();
  coordinator.Advance(absl::Seconds(59));
  EXPECT_THAT(EndedOf(coordinator, other, {grant->lease}), ElementsAre(grant->lease));
  coordinator.Advance(absl::Seconds(1));
  EXPECT_EQ(coordinator->counters().lease_expirations, 1);
}

TEST(Expiry, ALateOutcomeAndTheNewOneCountOnce) {
  SchedulerOptions options;
  options.max_lease_jobs = 1;
  TestCoordinator coordinator(options);
  TestWorker late(&coordinator, "late");
  TestWorker other(&coordinator, "other");
  const std::string id = coordinator.Submit();
  const auto old = late.WorkUntil(JobKind::kTrials);
  coordinator.Advance(absl::Seconds(60));
  std::unique_ptr<LeaseGrant> grant = other.Lease();
  ASSERT_NE(grant, nullptr);
  ASSERT_EQ(JobsOf(*grant), JobsOf(*old));

  ASSERT_TRUE(late.Answer(*grant, grant->jobs[0]).ok());
  const CampaignSnapshot once = coordinator.Snapshot(id);
  EXPECT_EQ(coordinator->counters().duplicate_outcomes, 0);
  other.AnswerAll(*grant);
  const CampaignSnapshot twice = coordinator.Snapshot(id);
  EXPECT_EQ(coordinator->counters().duplicate_outcomes, 1);
  EXPECT_EQ(coordinator->counters().digest_mismatches, 0);
  EXPECT_EQ(twice.jobs_done, once.jobs_done);
  EXPECT_EQ(twice.images_done, once.images_done);
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcomes"), 1);
  EXPECT_EQ(coordinator.Query("SELECT sum(folds_done) FROM trials"), 1);

  ASSERT_NO_FATAL_FAILURE(other.WorkToEnd());
  EXPECT_EQ(coordinator.Snapshot(id).state, "done");
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcomes"), kTrialJobs);
}

TEST(Expiry, ALateOutcomeOfAJobThatWaitsForANewLeaseLeavesNoEmptyLease) {
  TestCoordinator coordinator;
  TestWorker late(&coordinator, "late");
  TestWorker other(&coordinator, "other");
  const std::string id = coordinator.Submit();
  for (const JobKind kind : {JobKind::kProbe, JobKind::kGolden, JobKind::kTrials}) {
    const auto old = late.Lease();
    ASSERT_EQ(old->kind, kind);
    coordinator.Advance(absl::Seconds(60));
    for (const LeasedJob& job : old->jobs) {
      ASSERT_TRUE(late.Answer(*old, job).ok());
    }
    for (auto grant = other.Lease(); grant != nullptr; grant = other.Lease()) {
      EXPECT_THAT(grant->jobs, testing::Not(IsEmpty())) << static_cast<int>(kind);
      if (grant->kind != kind) {
        ASSERT_TRUE(other.Report(*grant, LeaseEnd{}).ok());
        break;
      }
      other.AnswerAll(*grant);
    }
  }
  EXPECT_EQ(coordinator.Snapshot(id).state, "done");
  EXPECT_EQ(coordinator->counters().duplicate_outcomes, 0);
}

TEST(NewInstance, OfAnOldWorkerIdGetsTheLostJobsBack) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w", "first");
  coordinator.Submit();
  const auto old = worker.Lease();
  TestWorker same(&coordinator, "w", "first");
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM leases"), 1) << "a repeated call ends nothing";
  TestWorker restarted(&coordinator, "w", "second");
  const auto grant = restarted.Lease();
  ASSERT_NE(grant, nullptr);
  EXPECT_EQ(JobsOf(*grant), JobsOf(*old));
  EXPECT_GT(grant->lease, old->lease);
  EXPECT_THAT(EndedOf(coordinator, restarted, {old->lease, grant->lease}), ElementsAre(old->lease));
}

TEST(LeaseEnd, GivesBackWhatHasNoOutcome) {
  TestCoordinator coordinator;
  TestWorker worker(&coordinator, "w");
  const std::string id = coordinator.Submit();
  const auto grant = worker.WorkUntil(JobKind::kTrials);
  ASSERT_GT(grant->jobs.size(), 1u);
  ASSERT_TRUE(worker.Answer(*grant, grant->jobs[0]).ok());
  TestWorker stranger(&coordinator, "stranger");
  ASSERT_TRUE(stranger.Report(*grant, LeaseEnd{}).ok());
  EXPECT_GT(coordinator.Snapshot(id).jobs_leased, 0) << "only its holder ends a lease";
  ASSERT_TRUE(worker.Report(*grant, LeaseEnd{}).ok());
  EXPECT_EQ(coordinator.Snapshot(id).jobs_leased, 0);
  ASSERT_NO_FATAL_FAILURE(worker.WorkToEnd());
  EXPECT_EQ(coordinator.Snapshot(id).state, "done");
}

TEST(ListWorkers, SaysWhoIsLiveAndWhatTheyHold) {
  TestCoordinator coordinator;
  TestWorker idle(&coordinator, "idle");
  coordinator.Advance(absl::Seconds(30));
  TestWorker busy(&coordinator, "busy");
  coordinator.Submit();
  busy.Lease();
  coordinator.Advance(absl::Seconds(31));
  Pending<std::vector<WorkerSnapshot>> reply;
  coordinator->ListWorkers(reply.Callback());
  const auto workers = reply.Get();
  ASSERT_TRUE(workers.ok()) << workers.status();
  ASSERT_EQ(workers->size(), 2u);
  EXPECT_EQ((*workers)[0].identity.id, "busy");
  EXPECT_TRUE((*workers)[0].live);
  EXPECT_EQ((*workers)[0].leased_jobs, 1);
  EXPECT_EQ((*workers)[1].identity.id, "idle");
  EXPECT_FALSE((*workers)[1].live);
  EXPECT_EQ((*workers)[1].leased_jobs, 0);
}

// It numbers its requests as the process before it did.
TEST(Lease, OfAProcessThatEndedIsNotGivenToTheNextOneWhichDeliversIt) {
  TestCoordinator coordinator;
  TestWorker first(&coordinator, "w", "first");
  coordinator.Submit();
  const auto grant = first.WorkUntil(JobKind::kTrials);
  TestWorker second(&coordinator, "w", "second", "cpu", {grant->lease});
  for (int request = 0; request < 20; ++request) {
    const auto again = second.AskForLease(request, absl::ZeroDuration()).Get();
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_TRUE(*again == nullptr || (*again)->lease != grant->lease) << request;
  }
}

}  // namespace
}  // namespace bitquake
