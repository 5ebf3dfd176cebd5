// The coordinator on a disk that is full, or that fails, at every point of its work.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <atomic>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/store/check.h"
#include "server/store/open_store.h"
#include "tests/server/cluster.h"
#include "tests/server/store/vfs_shim.h"

namespace bitquake {
namespace {

using testing::IsEmpty;
using testing::IsSupersetOf;

// Fails from the n-th operation on, until it is mended.
class FaultyDisk final : public VfsShim {
 public:
  enum class Fault { kFull, kWrite, kSync, kRead, kSharedMemory };

  using VfsShim::VfsShim;

  void Break(Fault fault, int after) {
    fault_ = fault;
    left_ = after;
    broken_ = true;
  }
  // Whether anything failed.
  bool Mend() {
    broken_ = false;
    return failed_.exchange(false);
  }

  int BeforeRead(const std::string&) override { return Next(Fault::kRead, SQLITE_IOERR_READ); }
  int BeforeWrite(const std::string&, absl::string_view, int64_t) override {
    const int full = Next(Fault::kFull, SQLITE_FULL);
    return full != SQLITE_OK ? full : Next(Fault::kWrite, SQLITE_IOERR_WRITE);
  }
  int BeforeTruncate(const std::string&, int64_t) override {
    return Next(Fault::kWrite, SQLITE_IOERR_TRUNCATE);
  }
  int BeforeSync(const std::string&) override { return Next(Fault::kSync, SQLITE_IOERR_FSYNC); }
  int BeforeGrowingSharedMemory(const std::string&) override {
    return Next(Fault::kSharedMemory, SQLITE_IOERR_SHMSIZE);
  }

 private:
  int Next(Fault fault, int code) {
    if (!broken_ || fault_ != fault || left_-- > 0) {
      return SQLITE_OK;
    }
    failed_ = true;
    return code;
  }

  std::atomic<Fault> fault_{Fault::kFull};
  std::atomic<int> left_{0};
  std::atomic<bool> broken_{false};
  std::atomic<bool> failed_{false};
};

constexpr char kCampaign[] =
    "name: faults\nmodels: [vit]\ndataset: set\nformats: [int8]\ngranularities: [model]\n"
    "ber: [1e-6, 1e-3]\ntrials: 100\nfolds: 2\nkeep: images\n";

std::set<int64_t> Stored(const std::string& path) {
  absl::StatusOr<Database> db = Database::Open(path, Database::Mode::kReadOnly);
  std::set<int64_t> jobs;
  const absl::Status read = db->ForEach("SELECT job FROM outcomes", {}, [&](const Row& row) {
    jobs.insert(row.Int(0));
    return absl::OkStatus();
  });
  EXPECT_TRUE(read.ok()) << read;
  return jobs;
}

TEST(DiskFault, NothingAcknowledgedIsLostAndWorkGoesOnWhenTheDiskIsMended) {
  ScratchFolder folder;
  FaultyDisk disk(folder.Path("."));
  TestCoordinator coordinator(SchedulerOptions{}, folder.Path("store.db"));
  coordinator.Submit(kCampaign);
  TestWorker worker(&coordinator, "worker");

  constexpr std::pair<FaultyDisk::Fault, int> kPoints[] = {
      {FaultyDisk::Fault::kFull, 24},        {FaultyDisk::Fault::kWrite, 24},
      {FaultyDisk::Fault::kSync, 2},         {FaultyDisk::Fault::kRead, 3},
      {FaultyDisk::Fault::kSharedMemory, 2},
  };
  std::set<int64_t> acknowledged;
  int refused = 0;
  int faults = 0;
  size_t kind = 0;
  int point = 0;
  std::unique_ptr<LeaseGrant> grant = worker.WorkUntil(JobKind::kTrials);
  size_t next = 0;
  for (int round = 0; round < 150; ++round) {
    if (next == grant->jobs.size()) {
      ASSERT_TRUE(worker.Report(*grant, LeaseEnd{}).ok());
      grant = worker.Lease();
      ASSERT_NE(grant, nullptr);
      next = 0;
    }
    const LeasedJob& job = grant->jobs[next];
    disk.Break(kPoints[kind].first, point);
    const absl::Status status = worker.Answer(*grant, job);
    faults += disk.Mend();
    if (++point > kPoints[kind].second) {
      point = 0;
      kind = (kind + 1) % std::size(kPoints);
    }
    if (status.ok()) {
      acknowledged.insert(job.job);
      ++next;
    } else {
      ++refused;
      EXPECT_THAT(status.code(), testing::AnyOf(absl::StatusCode::kResourceExhausted,
                                                absl::StatusCode::kUnavailable))
          << status;
    }
    EXPECT_THAT(Stored(coordinator.path()), IsSupersetOf(acknowledged)) << "after " << status;
  }
  EXPECT_GT(refused, 40);
  EXPECT_GE(faults, refused);
  EXPECT_GT(acknowledged.size(), 40u);
  std::cout << faults << " faults, " << refused << " refused, " << acknowledged.size()
            << " acknowledged\n";

  // It goes on as it is, without a restart.
  for (; next < grant->jobs.size(); ++next) {
    EXPECT_TRUE(worker.Answer(*grant, grant->jobs[next]).ok());
  }
  EXPECT_TRUE(worker.Report(*grant, LeaseEnd{}).ok());
  EXPECT_TRUE(coordinator->ready().ok());
  worker.WorkToEnd();
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcomes"), 400);
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM campaigns WHERE state = 'done'"), 1);
  absl::StatusOr<Database> db = Database::Open(coordinator.path(), Database::Mode::kReadOnly);
  EXPECT_THAT(*CheckStore(*db), IsEmpty());
}

// The call that follows finds memory as the store has it, not as the transaction that failed left it.
TEST(DiskFault, ARegistrationThatWasNotCommittedIsMadeAgain) {
  ScratchFolder folder;
  FaultyDisk disk(folder.Path("."));
  TestCoordinator coordinator(SchedulerOptions{}, folder.Path("store.db"));
  TestWorker worker(&coordinator, "w", "first");
  const auto register_again = [&] {
    Pending<Registration> reply;
    coordinator->Register({"w", "second", "host", "version", "cpu"}, {}, reply.Callback());
    return reply.Get().status();
  };
  disk.Break(FaultyDisk::Fault::kSync, 0);
  EXPECT_FALSE(register_again().ok());
  ASSERT_TRUE(disk.Mend());
  ASSERT_TRUE(register_again().ok());
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM workers WHERE instance = 'second'"), 1);
}

TEST(DiskFault, TheServerIsNotReadyWhileItsStoreTakesNothing) {
  ScratchFolder folder;
  FaultyDisk disk(folder.Path("."));
  TestCoordinator coordinator(SchedulerOptions{}, folder.Path("store.db"));
  EXPECT_TRUE(coordinator->ready().ok());
  disk.Break(FaultyDisk::Fault::kFull, 0);
  Pending<std::string> id;
  coordinator->Submit(*ParseCampaign(kSmallCampaign, "test"), "request", id.Callback());
  EXPECT_EQ(id.Get().status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(coordinator->ready().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(disk.Mend());
  coordinator.Submit();
  EXPECT_TRUE(coordinator->ready().ok());
  TestWorker worker(&coordinator, "worker");
  worker.WorkToEnd();
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcomes"), kTrialJobs);
}

// What cannot be written back to a full disk stays in the WAL, and is as safe.
TEST(DiskFault, AFailedCheckpointLosesNothing) {
  ScratchFolder folder;
  FaultyDisk disk(folder.Path("."));
  TestCoordinator coordinator(SchedulerOptions{}, folder.Path("store.db"));
  coordinator.Submit();
  TestWorker worker(&coordinator, "worker");
  worker.WorkToEnd();
  disk.Break(FaultyDisk::Fault::kSync, 0);
  coordinator->Stop();
  EXPECT_TRUE(disk.Mend());
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM outcomes"), kTrialJobs);
  coordinator.Restart();
  EXPECT_EQ(coordinator.Query("SELECT count(*) FROM campaigns WHERE state = 'done'"), 1);
}

}  // namespace
}  // namespace bitquake
