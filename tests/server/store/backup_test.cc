#include "server/store/backup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/store/check.h"
#include "server/store/migrations.h"
#include "server/store/open_store.h"
#include "server/store/writer.h"
#include "tests/server/cluster.h"

namespace bitquake {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

int64_t Query(const std::string& path, const std::string& sql) {
  absl::StatusOr<Database> db = Database::Open(path, Database::Mode::kReadOnly);
  EXPECT_TRUE(db.ok()) << db.status();
  const auto value = db->QueryInt(sql);
  EXPECT_TRUE(value.ok()) << value.status();
  return value.ok() ? value->value_or(-1) : -1;
}

std::string Identity(const std::string& path) {
  absl::StatusOr<Database> db = Database::Open(path, Database::Mode::kReadOnly);
  std::string identity;
  EXPECT_TRUE(db->ForEach("SELECT identity FROM store", {}, [&](const Row& row) {
                  identity = row.Text(0);
                  return absl::OkStatus();
                }).ok());
  return identity;
}

TEST(Backup, IsTheStoreAtOneMomentWhileTheServerWrites) {
  ScratchFolder folder;
  const std::string path = folder.Path("live.db");
  const SystemClock clock;
  absl::StatusOr<Database> db = OpenStore(path, clock);
  ASSERT_TRUE(db.ok()) << db.status();
  ASSERT_TRUE(db->RunScript("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)").ok());
  WriterHooks hooks;
  hooks.tick = [](Database&) { return absl::InfiniteDuration(); };
  hooks.ended = [](const absl::Status&) {};
  Writer writer(*std::move(db), &clock, hooks);
  std::atomic<int64_t> acknowledged{0};
  std::atomic<bool> enough{false};
  std::thread load([&] {
    const std::string text(2000, 'x');
    for (int64_t a = 1; !enough; a += 2) {
      const absl::Status status = writer.SubmitAndWait([&](Database& db) {
        RETURN_IF_ERROR(db.Run("INSERT INTO t VALUES (?, ?)", {a, text}));
        return db.Run("INSERT INTO t VALUES (?, ?)", {a + 1, text});
      });
      ASSERT_TRUE(status.ok()) << status;
      acknowledged = a + 1;
    }
  });
  for (int i = 0; i < 20; ++i) {
    const std::string copy = folder.Path(absl::StrCat("backup-", i));
    const int64_t before = acknowledged;
    const absl::Status status = Backup(path, copy);
    ASSERT_TRUE(status.ok()) << status;
    const int64_t rows = Query(copy, "SELECT count(*) FROM t");
    EXPECT_GE(rows, before);  // nothing that was acknowledged is missing
    EXPECT_EQ(rows % 2, 0);   // of no transaction a part
    EXPECT_EQ(Query(copy, "SELECT coalesce(max(a), 0) FROM t"), rows);
    EXPECT_FALSE(std::filesystem::exists(copy + "-wal"));
    EXPECT_FALSE(std::filesystem::exists(copy + ".partial"));
  }
  enough = true;
  load.join();
  EXPECT_GT(acknowledged, 20);
}

TEST(Backup, OverwritesNothing) {
  TestCoordinator coordinator;
  const std::string file = coordinator.path() + ".backup";
  std::ofstream(file) << "precious";
  const absl::Status refused = Backup(coordinator.path(), file);
  EXPECT_EQ(refused.code(), absl::StatusCode::kAlreadyExists) << refused;
  std::ifstream kept(file);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(kept), {}), "precious");
}

TEST(Backup, OfADamagedStoreIsRefusedAndLeavesNothing) {
  TestCoordinator coordinator;
  coordinator->Stop();
  {
    std::fstream file(coordinator.path(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(5 * 4096);
    file << std::string(4096, 'x');
  }
  const std::string copy = coordinator.path() + ".backup";
  EXPECT_EQ(Backup(coordinator.path(), copy).code(), absl::StatusCode::kDataLoss);
  EXPECT_FALSE(std::filesystem::exists(copy));
  EXPECT_FALSE(std::filesystem::exists(copy + ".partial"));
}

TEST(Backup, OfAMissingStoreIsNotFound) {
  ScratchFolder folder;
  EXPECT_EQ(Backup(folder.Path("none.db"), folder.Path("copy")).code(),
            absl::StatusCode::kNotFound);
}

TEST(Restore, GivesAStoreThatGoesOnToTheSameResults) {
  TestCoordinator coordinator;
  coordinator.Submit(kKeepingCampaign);
  TestWorker worker(&coordinator, "worker");
  const auto grant = worker.WorkUntil(JobKind::kTrials);
  ASSERT_TRUE(worker.Answer(*grant, grant->jobs[0]).ok());
  const std::string file = coordinator.path() + ".backup";
  ASSERT_TRUE(Backup(coordinator.path(), file).ok());

  const std::string restored = coordinator.path() + ".restored";
  const absl::Status status = Restore(file, restored);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(Query(restored, "SELECT count(*) FROM outcomes"), 1);
  EXPECT_EQ(Query(restored, "SELECT count(*) FROM leases"), 0);
  EXPECT_EQ(Query(restored, "SELECT count(*) FROM jobs WHERE state <> 'ready'"), 0);
  EXPECT_EQ(Query(restored, "SELECT sum(ready) FROM batches"), kTrialJobs - 1);
  EXPECT_EQ(Query(restored, "SELECT restores FROM store"), 1);
  EXPECT_NE(Identity(restored), Identity(file));
  EXPECT_EQ(Identity(coordinator.path()), Identity(file));

  TestCoordinator second(SchedulerOptions{}, restored);
  TestWorker other(&second, "other");
  other.WorkToEnd();
  EXPECT_EQ(second.Query("SELECT count(*) FROM outcomes"), kTrialJobs);
  EXPECT_EQ(second.Query("SELECT count(*) FROM campaigns WHERE state = 'done'"), 1);
  absl::StatusOr<Database> db = Database::Open(restored, Database::Mode::kReadOnly);
  EXPECT_THAT(*CheckStore(*db), IsEmpty());
}

// Jobs that were made, and leases that were given, after the backup: their numbers are no others'
// in the restored store, so reports of them change nothing.
TEST(Restore, WhatWasLeasedAfterTheBackupIsTakenForNothingElse) {
  TestCoordinator coordinator;
  coordinator.Submit(kSmallCampaign, "first");
  TestWorker worker(&coordinator, "worker");
  const auto probe = worker.Lease();
  ASSERT_EQ(probe->kind, JobKind::kProbe);
  worker.AnswerAll(*probe);
  const std::string file = coordinator.path() + ".backup";
  ASSERT_TRUE(Backup(coordinator.path(), file).ok());
  ASSERT_EQ(Query(file, "SELECT count(*) FROM jobs WHERE cell IS NOT NULL"), 0);

  // The store goes on: another campaign takes the next number, and the first one's trials those
  // after it.
  coordinator.Submit(kSmallCampaign, "second");
  const auto old_golden = worker.Lease();
  ASSERT_EQ(old_golden->kind, JobKind::kGolden);
  worker.AnswerAll(*old_golden);
  const auto old_trials = worker.WorkUntil(JobKind::kTrials);

  const std::string restored = coordinator.path() + ".restored";
  ASSERT_TRUE(Restore(file, restored).ok());
  TestCoordinator second(SchedulerOptions{}, restored);
  TestWorker same(&second, "worker");
  const auto now = same.WorkUntil(JobKind::kTrials);
  ASSERT_FALSE(now->jobs.empty());
  EXPECT_EQ(old_trials->campaign, now->campaign);
  for (const LeasedJob& job : old_trials->jobs) {
    EXPECT_TRUE(same.Answer(*old_trials, job).ok());  // acknowledged: the worker is rid of it
  }
  EXPECT_TRUE(same.Report(*old_trials, LeaseEnd{}).ok());
  EXPECT_EQ(second.Query("SELECT count(*) FROM outcomes"), 0);
  EXPECT_EQ(second.Query(absl::StrCat("SELECT count(*) FROM leases WHERE id = ", now->lease)), 1);
  EXPECT_EQ(second.Query("SELECT count(*) FROM workers WHERE quarantine <> ''"), 0);
  same.AnswerAll(*now);
  same.WorkToEnd();
  EXPECT_EQ(second.Query("SELECT count(*) FROM outcomes"), kTrialJobs);
}

TEST(Restore, EachTimeGivesOtherNumbers) {
  TestCoordinator coordinator;
  const std::string file = coordinator.path() + ".backup";
  ASSERT_TRUE(Backup(coordinator.path(), file).ok());
  std::set<int64_t> numbers;
  std::set<std::string> identities;
  std::string from = file;
  for (int i = 0; i < 4; ++i) {
    const std::string restored = absl::StrCat(coordinator.path(), ".", i);
    const absl::Status status = Restore(from, restored);
    ASSERT_TRUE(status.ok()) << status;
    numbers.insert(Query(restored, "SELECT seq FROM sqlite_sequence WHERE name = 'jobs'"));
    identities.insert(Identity(restored));
    from = i < 2 ? file : restored;  // twice from the backup, then from what was restored
  }
  EXPECT_EQ(numbers.size(), 4u);
  EXPECT_EQ(identities.size(), 4u);
  EXPECT_GT(*numbers.begin(), int64_t{1} << 32);
  EXPECT_EQ(Query(from, "SELECT restores FROM store"), 2);
}

TEST(Restore, OverwritesNoStoreNorTakesUpAWalThatLiesThere) {
  TestCoordinator coordinator;
  const std::string file = coordinator.path() + ".backup";
  ASSERT_TRUE(Backup(coordinator.path(), file).ok());
  const absl::Status live = Restore(file, coordinator.path());
  EXPECT_EQ(live.code(), absl::StatusCode::kAlreadyExists) << live;
  EXPECT_EQ(Query(coordinator.path(), "SELECT restores FROM store"), 0);
  const std::string gone = coordinator.path() + ".gone";
  std::ofstream(gone + "-wal") << "of a store that was deleted";
  EXPECT_EQ(Restore(file, gone).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_FALSE(std::filesystem::exists(gone));
}

TEST(Restore, OfADamagedBackupSaysSoAndLeavesNothing) {
  TestCoordinator coordinator;
  coordinator.Submit();
  const std::string file = coordinator.path() + ".backup";
  ASSERT_TRUE(Backup(coordinator.path(), file).ok());
  {
    absl::StatusOr<Database> db = Database::Open(file, Database::Mode::kReadWrite);
    ASSERT_TRUE(db->Run("UPDATE campaigns SET resolved = '{}'").ok());
  }
  const std::string restored = coordinator.path() + ".restored";
  const absl::Status status = Restore(file, restored);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("table campaigns"));
  EXPECT_FALSE(std::filesystem::exists(restored));
  EXPECT_FALSE(std::filesystem::exists(restored + ".partial"));
}

TEST(Restore, TakesABackupOfAnOlderVersion) {
  ScratchFolder folder;
  const std::string restored = folder.Path("restored.db");
  const absl::Status status =
      Restore(std::string(BITQUAKE_SOURCE_DIR) + "/tests/data/store/version_1.db", restored);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_FALSE(std::filesystem::exists(restored + "-wal"));
  EXPECT_EQ(Query(restored, "PRAGMA user_version"), SchemaVersion());
  EXPECT_EQ(Query(restored, "SELECT count(*) FROM outcomes"), 16);
}

}  // namespace
}  // namespace bitquake
