// The coordinator on a disk that loses power, and with it what was not synced.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "server/store/check.h"
#include "server/store/migrations.h"
#include "server/store/open_store.h"
#include "tests/server/cluster.h"
#include "tests/server/store/power_cut.h"

namespace bitquake {
namespace {

using testing::IsEmpty;

constexpr char kCampaign[] =
    "name: power\nmodels: [vit]\ndataset: set\nformats: [int8]\ngranularities: [model]\n"
    "ber: [1e-6, 1e-3]\ntrials: 25\nfolds: 2\nkeep: images\nattention_distance: faulty\n";
constexpr int64_t kOutcomes = 100;

// Runs a campaign to its end, and at every cut looks at the store as it would be found.
class PowerLossTest : public testing::Test {
 protected:
  // What a cut left, opened as a server does after the power is back.
  void LookAfterCut(const DiskImage& image) {
    ++cuts_;
    const std::string path = after_.Path("store.db");
    for (const char* suffix : {"", "-wal", "-shm"}) {
      std::filesystem::remove(path + suffix);
    }
    for (const auto& [name, bytes] : image) {
      std::ofstream(after_.Path(name), std::ios::binary) << bytes;
    }
    const SystemClock clock;
    absl::StatusOr<Database> db = OpenStore(path, clock);
    if (!db.ok()) {
      damaged_.push_back(std::string(db.status().message()));
      return;
    }
    const auto findings = CheckStore(*db);
    if (!findings.ok() || !findings->empty()) {
      damaged_.push_back(findings.ok() ? findings->front()
                                       : std::string(findings.status().message()));
    }
    std::set<int64_t> stored;
    const absl::Status read = db->ForEach("SELECT job FROM outcomes UNION SELECT job FROM goldens",
                                          {}, [&](const Row& row) {
                                            stored.insert(row.Int(0));
                                            return absl::OkStatus();
                                          });
    if (!read.ok()) {
      damaged_.push_back(std::string(read.message()));
    }
    for (const int64_t job : acknowledged_) {
      lost_ += stored.count(job) == 0;
    }
    later_ += static_cast<int64_t>(stored.size()) > static_cast<int64_t>(acknowledged_.size());
  }

  // Reports a job; what is acknowledged is noted on the writer's thread, before its next sync.
  void Answer(Coordinator& coordinator, const LeaseGrant& grant, const LeasedJob& job) {
    Report report{"worker", grant.campaign, grant.lease, LeaseEnd{}};
    if (grant.kind == JobKind::kGolden) {
      report.body = TestWorker::RightGolden(grant, job);
    } else {
      report.body = TestWorker::RightTrial(grant, job);
    }
    absl::Notification done;
    coordinator.Report(std::move(report), [&](const absl::Status& status) {
      EXPECT_TRUE(status.ok()) << status;
      if (status.ok()) {
        acknowledged_.insert(job.job);
      }
      done.Notify();
    });
    done.WaitForNotification();
  }

  std::unique_ptr<LeaseGrant> Lease(Coordinator& coordinator, int64_t number) {
    Pending<std::unique_ptr<LeaseGrant>> reply;
    coordinator.Lease("worker", number, absl::ZeroDuration(), reply.Callback());
    auto grant = reply.Get();
    EXPECT_TRUE(grant.ok()) << grant.status();
    return grant.ok() ? *std::move(grant) : nullptr;
  }

  // `prepare` may change the connection of the writer.
  void Run(uint32_t seed, const std::function<void(Database&)>& prepare) {
    {
      const SystemClock clock;
      ASSERT_TRUE(OpenStore(path_, clock).ok());  // a store that has been there for long
    }
    PowerCutVfs disk(folder_.Path("."), seed, /*writes_between=*/40,
                     [this](const DiskImage& image) { LookAfterCut(image); });
    const SystemClock clock;
    absl::StatusOr<Database> db = OpenStore(path_, clock);
    ASSERT_TRUE(db.ok()) << db.status();
    prepare(*db);
    auto coordinator = Coordinator::Start(*std::move(db), &clock, {});
    ASSERT_TRUE(coordinator.ok()) << coordinator.status();
    Pending<Registration> registered;
    (*coordinator)
        ->Register({"worker", "first", "host", "0.1.0", "cpu"}, /*kept=*/{}, registered.Callback());
    ASSERT_TRUE(registered.Get().ok());
    Pending<std::string> id;
    (*coordinator)->Submit(*ParseCampaign(kCampaign, "test"), "request", id.Callback());
    ASSERT_TRUE(id.Get().ok());
    int64_t number = 0;
    for (auto grant = Lease(**coordinator, ++number); grant != nullptr;
         grant = Lease(**coordinator, ++number)) {
      if (grant->kind == JobKind::kProbe) {
        Pending<bool> probed;
        (*coordinator)
            ->Report({"worker", grant->campaign, grant->lease, TestWorker::RightProbe(*grant)},
                     [done = probed.Callback()](const absl::Status& status) {
                       done(status.ok() ? absl::StatusOr<bool>(true) : status);
                     });
        ASSERT_TRUE(probed.Get().ok());
        continue;
      }
      for (const LeasedJob& job : grant->jobs) {
        Answer(**coordinator, *grant, job);
      }
    }
    (*coordinator)->Stop();
    coordinator->reset();
  }

  ScratchFolder folder_;
  ScratchFolder after_;
  const std::string path_ = folder_.Path("store.db");
  // Of the writer's thread until it has stopped:
  std::set<int64_t> acknowledged_;
  std::vector<std::string> damaged_;
  int64_t cuts_ = 0;
  int64_t lost_ = 0;
  int64_t later_ = 0;
};

TEST_F(PowerLossTest, WhatWasAcknowledgedIsThereAfterEachCut) {
  Run(/*seed=*/2418, [](Database&) {});
  EXPECT_EQ(static_cast<int64_t>(acknowledged_.size()), kOutcomes + kGoldenJobs);
  EXPECT_GE(cuts_, 200);
  EXPECT_EQ(lost_, 0);
  EXPECT_THAT(damaged_, IsEmpty());
  EXPECT_GT(later_, 0);  // cuts fell also between a sync and the acknowledgement
  std::cout << cuts_ << " cuts\n";
}

// The same disk does lose what is acknowledged before it is synced.
TEST_F(PowerLossTest, WithoutSyncsSomethingIsLost) {
  Run(/*seed=*/2418,
      [](Database& db) { ASSERT_TRUE(db.RunScript("PRAGMA synchronous = OFF").ok()); });
  EXPECT_EQ(static_cast<int64_t>(acknowledged_.size()), kOutcomes + kGoldenJobs);
  EXPECT_GT(cuts_, 20);
  EXPECT_GT(lost_, 0);
  std::cout << lost_ << " lost in " << cuts_ << " cuts\n";
}

}  // namespace
}  // namespace bitquake
