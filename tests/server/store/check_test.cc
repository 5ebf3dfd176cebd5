#include "server/store/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/store/open_store.h"
#include "tests/server/cluster.h"

namespace bitquake {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> Findings(const std::string& path) {
  absl::StatusOr<Database> db = Database::Open(path, Database::Mode::kReadOnly);
  EXPECT_TRUE(db.ok()) << db.status();
  auto findings = CheckStore(*db);
  EXPECT_TRUE(findings.ok()) << findings.status();
  return findings.value_or(std::vector<std::string>{});
}

// A coordinator in the middle of a campaign that keeps all details: leases are held, one was lost,
// jobs failed, an outcome came twice.
class CheckTest : public testing::Test {
 protected:
  CheckTest() {
    TestWorker worker(&coordinator_, "first");
    const auto grant = worker.WorkUntil(JobKind::kTrials);
    EXPECT_TRUE(worker.Answer(*grant, grant->jobs[0]).ok());
    EXPECT_TRUE(worker.Answer(*grant, grant->jobs[0]).ok());
    EXPECT_TRUE(worker.Fail(*grant, "an error").ok());
    TestWorker second(&coordinator_, "second");
    for (auto lease = second.Lease(); lease != nullptr; lease = second.Lease()) {
      second.AnswerAll(*lease);
      if (++leases_ == 2) {
        break;
      }
    }
    held_ = second.Lease();
  }

  std::string Path() const { return coordinator_.path(); }

  TestCoordinator coordinator_;
  const std::string id_ = coordinator_.Submit(kKeepingCampaign);
  int leases_ = 0;
  std::unique_ptr<LeaseGrant> held_;
};

TEST_F(CheckTest, AStoreAtWorkHasNoFindings) {
  EXPECT_GT(coordinator_.Query("SELECT count(*) FROM outcomes"), 1);
  EXPECT_GT(coordinator_.Query("SELECT count(*) FROM outcome_images"), 1);
  EXPECT_THAT(Findings(Path()), IsEmpty());
}

TEST_F(CheckTest, NorHasOneThatIsDone) {
  held_ = nullptr;
  coordinator_.Advance(absl::Seconds(100));
  TestWorker third(&coordinator_, "third");
  third.WorkToEnd();
  EXPECT_EQ(coordinator_.Query("SELECT count(*) FROM campaigns WHERE state = 'done'"), 1);
  EXPECT_THAT(Findings(Path()), IsEmpty());
}

TEST_F(CheckTest, NorOneWhoseCampaignWasCancelled) {
  const auto id = coordinator_.Submit(kSmallCampaign, "another");
  EXPECT_TRUE(coordinator_.Control(id, Coordinator::Command::kCancel).ok());
  EXPECT_THAT(Findings(Path()), IsEmpty());
}

TEST_F(CheckTest, EachNumberThatIsChangedIsFound) {
  const std::pair<const char*, const char*> tampered[] = {
      {"UPDATE outcomes SET sdc = sdc + 1 WHERE job = (SELECT min(job) FROM outcomes)",
       "table outcomes, row"},
      {"UPDATE outcomes SET digest = 'x' WHERE job = (SELECT min(job) FROM outcomes)",
       "table outcomes, row"},
      {"UPDATE goldens SET predictions = x'00' WHERE fold = 0", "table goldens, row"},
      {"UPDATE trials SET flips = flips + 1", "table trials, row"},
      {"UPDATE trials SET top1 = top1 + 1", "sums of a trial over its folds"},
      {"UPDATE trials SET folds_done = folds_done + 1", "folds of a trial"},
      {"UPDATE cells SET ber = 0.5", "table cells, row"},
      {"UPDATE cells SET loss_sum = loss_sum + 1", "sums of a cell over its trials"},
      {"UPDATE cells SET trials_done = trials_done + 1", "sums of a cell over its trials"},
      {"UPDATE campaigns SET resolved = resolved || ' '", "table campaigns, row"},
      {"UPDATE campaigns SET images = images + 1", "its folds are not those of its outcomes"},
      {"UPDATE campaigns SET fold_sizes = '[5,4'", "its folds are not those of its outcomes"},
      {"UPDATE campaigns SET jobs_done = jobs_done + 1", "jobs done of campaign"},
      {"UPDATE campaigns SET images_done = images_done - 1", "images done of campaign"},
      {"UPDATE campaigns SET jobs_poisoned = 1", "jobs set aside of campaign"},
      {"UPDATE batches SET ready = ready + 1 WHERE kind = 2", "ready jobs of batch"},
      {"UPDATE outcome_images SET correct = x'ff'", "table outcome_images, row"},
      {"UPDATE outcome_attention SET sums = zeroblob(96)", "table outcome_attention, row"},
      {"UPDATE golden_attention SET heads = 1", "table golden_attention, row"},
      {"UPDATE fold_images SET labels = zeroblob(20)", "table fold_images, row"},
      {"UPDATE models SET chunk = 8", "table models, row"},
      {"DELETE FROM leases", "leased jobs without their lease"},
      {"DELETE FROM trials", "outcomes without a trial"},
      {"DELETE FROM outcome_images; DELETE FROM outcome_attention; DELETE FROM outcomes WHERE job "
       "= (SELECT min(job) FROM outcomes)",
       "folds of a trial"},
      {"INSERT INTO jobs (id, batch, cell, trial, fold) SELECT o.job, (SELECT max(id) FROM "
       "batches), o.cell, o.trial, o.fold FROM outcomes o LIMIT 1",
       "jobs that are done and still open"},
      {"DELETE FROM models", "refers to no row of models|jobs done of campaign"},
      {"UPDATE variants SET format = 'int4' WHERE format = 'int8'", "table variants, row"},
      {"DELETE FROM variants WHERE measured = 1", "refers to no row of variants"},
  };
  absl::StatusOr<Database> db = Database::Open(Path(), Database::Mode::kReadWrite);
  ASSERT_TRUE(db.ok()) << db.status();
  ASSERT_TRUE(db->RunScript("PRAGMA foreign_keys = OFF").ok());
  for (const auto& [sql, finding] : tampered) {
    ASSERT_TRUE(db->Run("BEGIN IMMEDIATE").ok());
    const absl::Status done = db->RunScript(sql);
    ASSERT_TRUE(done.ok()) << done;
    const auto findings = CheckStore(*db);
    ASSERT_TRUE(findings.ok()) << findings.status();
    EXPECT_THAT(absl::StrJoin(*findings, "\n"), testing::ContainsRegex(finding)) << sql;
    ASSERT_TRUE(db->Run("ROLLBACK").ok());
  }
  EXPECT_THAT(*CheckStore(*db), IsEmpty());
}

TEST_F(CheckTest, WhatResultsAreMadeOfIsCheckedCampaignByCampaign) {
  const auto other = coordinator_.Submit(kSmallCampaign, "another");
  absl::StatusOr<Database> db = Database::Open(Path(), Database::Mode::kReadWrite);
  ASSERT_TRUE(db.ok()) << db.status();
  EXPECT_TRUE(CheckMeasured(*db, id_).ok()) << CheckMeasured(*db, id_);
  const std::string its = absl::StrCat(" WHERE campaign = '", id_, "'");
  const std::string it = absl::StrCat(" WHERE id = '", id_, "'");
  for (const std::string& sql : std::vector<std::string>{
           "UPDATE trials SET top1 = top1 + 1", "UPDATE trials SET flips = flips + 1",
           "UPDATE trials SET folds_done = folds_done + 1",
           "UPDATE trials SET finished = 1 - finished",
           "UPDATE outcomes SET golden_top5 = golden_top5 + 1", "UPDATE cells SET ber = 0.5",
           "UPDATE goldens SET top1 = top1 + 1", "UPDATE outcome_images SET correct = x'ff'",
           "UPDATE outcome_attention SET sums = zeroblob(96)", "UPDATE models SET digest = 'x'",
           "UPDATE fold_images SET labels = zeroblob(20)",
           absl::StrCat("UPDATE variants SET format = 'int4'", its, " AND format = 'int8'"),
           absl::StrCat("UPDATE variants SET model = 'another'", its),
           absl::StrCat("UPDATE variants SET measured = 1 - measured", its),
           absl::StrCat("UPDATE campaigns SET images = images + 1", it),
           absl::StrCat("UPDATE campaigns SET fold_sizes = '[1,2,3]'", it),
           absl::StrCat("UPDATE campaigns SET fold_sizes = '[5,4'", it),
           absl::StrCat("UPDATE campaigns SET fold_sizes = ''", it)}) {
    ASSERT_TRUE(db->Run("BEGIN IMMEDIATE").ok());
    ASSERT_TRUE(db->RunScript(sql).ok());
    EXPECT_EQ(CheckMeasured(*db, id_).code(), absl::StatusCode::kDataLoss) << sql;
    EXPECT_TRUE(CheckMeasured(*db, other).ok()) << sql;
    ASSERT_TRUE(db->Run("ROLLBACK").ok());
  }
}

TEST_F(CheckTest, WhatATrialIsMadeOfIsCheckedTrialByTrial) {
  absl::StatusOr<Database> db = Database::Open(Path(), Database::Mode::kReadWrite);
  ASSERT_TRUE(db.ok()) << db.status();
  const int64_t cell = coordinator_.Query("SELECT min(cell) FROM trials WHERE finished = 1");
  const auto trial = static_cast<uint32_t>(
      *db->QueryInt("SELECT min(trial) FROM trials WHERE finished = 1 AND cell = ?", {cell})
           .value());
  EXPECT_TRUE(CheckTrial(*db, id_, cell, trial).ok()) << CheckTrial(*db, id_, cell, trial);
  const std::string it = absl::StrCat("cell = ", cell, " AND trial = ", trial);
  const auto check_after = [&](const std::string& sql) {
    EXPECT_TRUE(db->Run("BEGIN IMMEDIATE").ok());
    EXPECT_TRUE(db->RunScript(sql).ok()) << sql;
    const absl::Status status = CheckTrial(*db, id_, cell, trial);
    EXPECT_TRUE(db->Run("ROLLBACK").ok());
    return status;
  };
  for (const char* sql :
       {"UPDATE campaigns SET resolved = '{}'", "UPDATE models SET digest = 'x'",
        "UPDATE cells SET ber = 0.5", "UPDATE goldens SET top1 = top1 + 1",
        "UPDATE fold_images SET labels = zeroblob(20)", "UPDATE outcome_images SET correct = x'ff'",
        "UPDATE golden_attention SET sums = x'00'",
        "UPDATE outcome_attention SET sums = zeroblob(96)",
        "UPDATE variants SET format = 'int4' WHERE format = 'int8'"}) {
    EXPECT_EQ(check_after(sql).code(), absl::StatusCode::kDataLoss) << sql;
  }
  for (const char* sql :
       {"UPDATE trials SET top1 = top1 + 1 WHERE ", "UPDATE trials SET flips = flips + 1 WHERE ",
        "UPDATE outcomes SET top1 = top1 + 1 WHERE ", "UPDATE outcomes SET sdc = sdc + 1 WHERE "}) {
    EXPECT_EQ(check_after(absl::StrCat(sql, it)).code(), absl::StatusCode::kDataLoss) << sql;
    const absl::Status others = check_after(absl::StrCat(sql, "NOT (", it, ")"));
    EXPECT_TRUE(others.ok()) << sql << others;
  }
}

// What SQLite's own check does not see.
TEST_F(CheckTest, AFlippedBitInAStoredNumberIsFound) {
  coordinator_->Stop();  // all is in the one file
  std::fstream file(Path(), std::ios::binary | std::ios::in | std::ios::out);
  std::string bytes(std::istreambuf_iterator<char>(file), {});
  const size_t at = bytes.find("faults 1 0");
  ASSERT_NE(at, std::string::npos);
  file.seekp(static_cast<std::streamoff>(at + 7));
  file.put(bytes[at + 7] ^ 4);
  file.close();
  absl::StatusOr<Database> db = Database::Open(Path(), Database::Mode::kReadOnly);
  EXPECT_THAT(*CheckPages(*db), IsEmpty());
  EXPECT_THAT(*CheckStore(*db), Contains(HasSubstr("table trials, row [1,0]")));
}

TEST_F(CheckTest, ADamagedPageIsRefusedAtTheStartWithTheRemedy) {
  coordinator_->Stop();
  const auto pages = static_cast<int64_t>(std::filesystem::file_size(Path()) / 4096);
  ASSERT_GT(pages, 20);
  std::string bytes;
  {
    std::ifstream file(Path(), std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  int refused = 0;
  for (int64_t page = 0; page < pages; ++page) {
    std::string damaged = bytes;
    damaged.replace(static_cast<size_t>(page) * 4096, 512, 512, '\x5a');
    const std::string path = Path() + ".damaged";
    std::ofstream(path, std::ios::binary) << damaged;
    const SystemClock clock;
    const absl::StatusOr<Database> db = OpenStore(path, clock);
    if (!db.ok()) {
      ++refused;
      EXPECT_THAT(db.status().code(), testing::AnyOf(absl::StatusCode::kDataLoss,
                                                     absl::StatusCode::kFailedPrecondition));
      EXPECT_THAT(std::string(db.status().message()), HasSubstr(path));
      EXPECT_THAT(std::string(db.status().message()), HasSubstr("--restore BACKUP"));
    }
    std::filesystem::remove(path);
    std::filesystem::remove(path + "-wal");
    std::filesystem::remove(path + "-shm");
  }
  EXPECT_EQ(refused, pages);
}

TEST_F(CheckTest, AnotherSchemaIsNotChecked) {
  const std::string copy = Path() + ".old";
  std::filesystem::copy_file(std::string(BITQUAKE_SOURCE_DIR) + "/tests/data/store/version_1.db",
                             copy);
  absl::StatusOr<Database> db = Database::Open(copy, Database::Mode::kReadOnly);
  ASSERT_TRUE(db.ok()) << db.status();
  const auto findings = CheckStore(*db);
  EXPECT_EQ(findings.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(findings.status().message()), HasSubstr("version 1"));
}

// A million jobs, of which half have outcomes.
TEST(StartTest, AMillionJobsAreReadyWithinFiveSeconds) {
  ScratchFolder folder;
  const std::string path = folder.Path("large.db");
  const SystemClock clock;
  {
    absl::StatusOr<Database> db = OpenStore(path, clock);
    ASSERT_TRUE(db.ok()) << db.status();
    const absl::Status made = db->RunScript(R"sql(
      PRAGMA synchronous = OFF;
      BEGIN;
      INSERT INTO campaigns (ordinal, id, request_id, name, resolved, state, submitted_unix_ms)
        VALUES (1, 'c', 'r', 'n', '{}', 'running', 0);
      INSERT INTO variants (id, campaign, model, format, measured) VALUES (1, 'c', 'm', 'int8', 1);
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
        INSERT INTO cells (id, variant, position, fault, granularity, granularity_index, target,
          bits, ber) SELECT i, 1, i, 'bit_flip', 'block', 0, 'blocks.' || i, 8, 1e-3 FROM n;
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
        INSERT INTO batches (id, campaign, variant, kind, fold, ready) SELECT i, 'c', 1, 2, 0, 250
          FROM n;
      WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 499999)
        INSERT INTO jobs (id, batch, cell, trial, fold) SELECT 1000000 + i, 1 + i / 250, 1 + i %
          1000, i / 1000, 1 FROM n;
      WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 499999)
        INSERT INTO outcomes (job, cell, trial, fold, images, top1, top5, golden_top1, golden_top5,
          sdc, right_to_wrong, wrong_to_right, due, inferences, digest, worker, device_kind,
          seconds) SELECT 1 + i, 1 + i % 1000, i / 1000, 0, 5000, 4000, 4800, 4100, 4900, 120, 110,
          10, 0, 5000, printf('%032x', i), 'worker', 'cpu', 0.25 FROM n;
      COMMIT;)sql");
    ASSERT_TRUE(made.ok()) << made;
  }
  const absl::Duration start = clock.Monotonic();
  absl::StatusOr<Database> db = OpenStore(path, clock);
  ASSERT_TRUE(db.ok()) << db.status();
  const auto coordinator = Coordinator::Start(*std::move(db), &clock, {});
  ASSERT_TRUE(coordinator.ok()) << coordinator.status();
  EXPECT_TRUE((*coordinator)->ready().ok());
  const absl::Duration took = clock.Monotonic() - start;
  EXPECT_LT(took, absl::Seconds(5)) << std::filesystem::file_size(path) << " bytes";
  std::cout << "ready in " << took << ", " << std::filesystem::file_size(path) << " bytes\n";
}

// However large the store: the clock says that the time is over at the first look.
TEST(StartTest, TheLookAtAStoreEndsWhenItsTimeIsOver) {
  ScratchFolder folder;
  const SystemClock clock;
  absl::StatusOr<Database> db = OpenStore(folder.Path("large.db"), clock);
  ASSERT_TRUE(db->RunScript("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
                            "i < 100000) INSERT INTO alarms (unix_ms, kind, worker, detail) SELECT "
                            "i, 'k', 'w', 'd' FROM n")
                  .ok());
  EXPECT_TRUE(QuickCheck(*db, absl::ZeroDuration(), clock).ok());
  EXPECT_TRUE(QuickCheck(*db, absl::Seconds(60), clock).ok());
  EXPECT_TRUE(db->Run("SELECT 1").ok());  // no interrupt stays behind
}

}  // namespace
}  // namespace bitquake
