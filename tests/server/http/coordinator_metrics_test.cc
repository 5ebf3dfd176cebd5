#include "server/http/coordinator_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/histogram.h>
#include <prometheus/text_serializer.h>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "tests/server/cluster.h"

namespace bitquake {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class CoordinatorMetricsTest : public ::testing::Test {
 protected:
  std::string Text() {
    CoordinatorSources sources;
    sources.coordinator = coordinator_.get();
    sources.database = coordinator_.path();
    sources.rpcs = [] {
      prometheus::Histogram histogram({0.5, 1});
      histogram.Observe(0.25);
      return std::map<std::string, prometheus::ClientMetric>{{"LeaseJobs", histogram.Collect()}};
    };
    return prometheus::TextSerializer().Serialize(CoordinatorMetrics(std::move(sources)).Collect());
  }

  static std::string Jobs(const std::string& campaign, const std::string& state, int64_t jobs) {
    return absl::StrCat("\nbitquake_jobs{campaign=\"", campaign, "\",state=\"", state, "\"} ", jobs,
                        "\n");
  }

  TestCoordinator coordinator_;
};

TEST_F(CoordinatorMetricsTest, SayWhatTheSchedulerAndTheStoreDo) {
  TestWorker worker(&coordinator_, "w");
  const std::string id = coordinator_.Submit();
  const auto trials = worker.WorkUntil(JobKind::kTrials);
  const auto leased = static_cast<int64_t>(trials->jobs.size());
  const std::string text = Text();
  EXPECT_THAT(text, AllOf(HasSubstr("\nbitquake_scheduler_answers 1\n"),
                          HasSubstr(Jobs(id, "ready", kTrialJobs - leased)),
                          HasSubstr(Jobs(id, "leased", leased)),
                          HasSubstr(Jobs(id, "done", kProbeJobs + kGoldenJobs)),
                          HasSubstr(Jobs(id, "poisoned", 0)), HasSubstr(Jobs(id, "paused", 0)),
                          HasSubstr("\nbitquake_leases_active 1\n"),
                          HasSubstr("\nbitquake_workers{state=\"live\"} 1\n")));
  EXPECT_THAT(text, AllOf(HasSubstr("\nbitquake_job_outcomes_total{result=\"done\"} 5\n"),
                          HasSubstr("\nbitquake_job_outcomes_total{result=\"failed\"} 0\n"),
                          HasSubstr("\nbitquake_job_outcomes_total{result=\"poisoned\"} 0\n"),
                          HasSubstr("\n# TYPE bitquake_rpc_seconds histogram\n"),
                          HasSubstr("\nbitquake_rpc_seconds_count{method=\"LeaseJobs\"} 1\n"),
                          HasSubstr("\nbitquake_store_commit_seconds_count "),
                          HasSubstr("\nbitquake_store_wal_bytes "),
                          HasSubstr("\nbitquake_store_disk_free_bytes ")));
  EXPECT_THAT(text, Not(HasSubstr("ready_work_seconds"))) << "the speed is not known yet";
  EXPECT_THAT(text, Not(HasSubstr("campaign_eta_seconds")));
}

TEST_F(CoordinatorMetricsTest, JobsOfAPausedCampaignAreNotReady) {
  const std::string id = coordinator_.Submit();
  ASSERT_TRUE(coordinator_.Control(id, Coordinator::Command::kPause).ok());
  EXPECT_THAT(Text(), AllOf(HasSubstr(Jobs(id, "ready", 0)), HasSubstr(Jobs(id, "paused", 1))));
}

TEST_F(CoordinatorMetricsTest, NameNoCampaignThatEnded) {
  TestWorker worker(&coordinator_, "w");
  const std::string id = coordinator_.Submit();
  worker.WorkToEnd();
  EXPECT_THAT(Text(), AllOf(Not(HasSubstr(id)), HasSubstr("\nbitquake_trials_total 4\n")));
}

// The writer is held in a reply while the metrics are asked for.
TEST_F(CoordinatorMetricsTest, ComeWithoutTheSchedulersWhenTheWriterDoesNotAnswer) {
  absl::Notification held;
  absl::Notification release;
  coordinator_->ListWorkers([&](const absl::StatusOr<std::vector<WorkerSnapshot>>&) {
    held.Notify();
    release.WaitForNotification();
  });
  held.WaitForNotification();
  const std::string text = Text();
  release.Notify();
  EXPECT_THAT(text, AllOf(HasSubstr("\nbitquake_scheduler_answers 0\n"),
                          HasSubstr("\nbitquake_store_disk_free_bytes "),
                          Not(HasSubstr("bitquake_workers")), Not(HasSubstr("bitquake_jobs"))));
  EXPECT_THAT(Text(), HasSubstr("\nbitquake_scheduler_answers 1\n"));
}

}  // namespace
}  // namespace bitquake
