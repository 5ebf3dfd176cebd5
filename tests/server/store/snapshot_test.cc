#include "server/store/snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>

#include "common/base/status_macros.h"
#include "server/store/writer.h"
#include "tests/server/cluster.h"

namespace bitquake {
namespace {

using testing::HasSubstr;

class SnapshotTest : public testing::Test {
 protected:
  SnapshotTest() {
    absl::StatusOr<Database> db = Database::Open(path_, Database::Mode::kReadWrite);
    EXPECT_TRUE(db.ok()) << db.status();
    EXPECT_TRUE(db->RunScript("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)").ok());
    WriterHooks hooks;
    hooks.tick = [](Database&) { return absl::InfiniteDuration(); };
    hooks.ended = [](const absl::Status&) {};
    writer_.emplace(*std::move(db), &clock_, std::move(hooks));
  }

  // A row of 256 KiB in a transaction of its own; some WAL, without growth of the file.
  void Write() {
    const std::string blob(256 << 10, 'x');
    const absl::Status status = writer_->SubmitAndWait([&](Database& db) {
      return db.Run("INSERT OR REPLACE INTO t VALUES (1, ?)", {Blob{blob}});
    });
    ASSERT_TRUE(status.ok()) << status;
  }
  int64_t WalBytes() const {
    return static_cast<int64_t>(std::filesystem::file_size(path_ + "-wal"));
  }

  ScratchFolder folder_;
  const std::string path_ = folder_.Path("test.db");
  FakeClock clock_;
  std::optional<Writer> writer_;
};

TEST_F(SnapshotTest, SeesTheStoreAsItWasWhateverIsWrittenMeanwhile) {
  Write();
  absl::StatusOr<Snapshot> snapshot = Snapshot::Open(path_, &clock_);
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  ASSERT_EQ(**snapshot->db().QueryInt("SELECT count(*) FROM t"), 1);
  ASSERT_TRUE(writer_->SubmitAndWait([](Database& db) { return db.Run("DELETE FROM t"); }).ok());
  EXPECT_EQ(**snapshot->db().QueryInt("SELECT count(*) FROM t"), 1);
  EXPECT_TRUE(snapshot->Check().ok());
}

TEST_F(SnapshotTest, EndsAfterItsLifetimeAlsoInTheMiddleOfAStatement) {
  Write();
  absl::StatusOr<Snapshot> snapshot = Snapshot::Open(path_, &clock_);
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  clock_.Advance(absl::Minutes(9));
  EXPECT_TRUE(snapshot->Check().ok());
  EXPECT_TRUE(snapshot->db().QueryInt("SELECT count(*) FROM t").ok());
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(snapshot->Check().code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(snapshot->Check().message()), HasSubstr("longer than 10m"));
  const auto endless = snapshot->db().QueryInt(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n");
  EXPECT_EQ(endless.status(), snapshot->Check());
}

// A reader that is slow, under a load of more than 64 MiB: the WAL stays under its limit, what is
// written until the reader looks, and what is written until it is written back, 4 MiB.
TEST_F(SnapshotTest, ASlowReaderDoesNotMakeTheWalGrowWithoutBound) {
  constexpr int64_t kLimit = 8 << 20;
  constexpr int64_t kSlack = 6 << 20;
  std::optional<Snapshot> reader;
  {
    absl::StatusOr<Snapshot> opened =
        Snapshot::Open(path_, &clock_, {absl::InfiniteDuration(), kLimit});
    ASSERT_TRUE(opened.ok()) << opened.status();
    reader.emplace(*std::move(opened));
  }
  ASSERT_TRUE(reader->db().QueryInt("SELECT count(*) FROM t").ok());  // the view is fixed
  int64_t largest = 0;
  int ended_after = 0;
  for (int i = 0; i < 256; ++i) {
    Write();
    largest = std::max(largest, WalBytes());
    if (reader.has_value() && !reader->Check().ok()) {
      EXPECT_EQ(reader->Check().code(), absl::StatusCode::kAborted);
      reader.reset();
      ended_after = i;
    }
  }
  EXPECT_GE(ended_after, 10);  // it had the time that the limit gives
  EXPECT_GT(largest, kLimit);
  EXPECT_LT(largest, kLimit + kSlack);
}

// The reader that never looks is what the limit is for: the WAL holds all of the load.
TEST_F(SnapshotTest, WithoutTheLimitTheWalHoldsAllThatWasWritten) {
  absl::StatusOr<Snapshot> reader = Snapshot::Open(path_, &clock_);
  ASSERT_TRUE(reader->db().QueryInt("SELECT count(*) FROM t").ok());
  for (int i = 0; i < 256; ++i) {
    Write();
  }
  EXPECT_GT(WalBytes(), 64 << 20);
}

TEST_F(SnapshotTest, WithoutReadersTheWalStaysSmall) {
  int64_t largest = 0;
  for (int i = 0; i < 256; ++i) {
    Write();
    largest = std::max(largest, WalBytes());
  }
  EXPECT_LT(largest, 6 << 20);  // 1000 pages between two times of writing back, and a transaction
}

TEST_F(SnapshotTest, AfterAnIdleReaderTheWriterEmptiesALargeWal) {
  std::optional<Snapshot> reader;
  reader.emplace(*Snapshot::Open(path_, &clock_));
  ASSERT_TRUE(reader->db().QueryInt("SELECT count(*) FROM t").ok());
  for (int i = 0; i < 300; ++i) {
    Write();
  }
  ASSERT_GT(WalBytes(), 64 << 20);
  EXPECT_EQ(Snapshot::Open(path_, &clock_, {absl::Minutes(10), 64 << 20}).status().code(),
            absl::StatusCode::kUnavailable);
  reader.reset();
  clock_.Advance(absl::Seconds(2));
  // Nobody writes; the writer looks by itself.
  ASSERT_TRUE(writer_->SubmitAndWait([](Database&) { return absl::OkStatus(); }).ok());
  writer_->Wake();
  ASSERT_TRUE(writer_->SubmitAndWait([](Database&) { return absl::OkStatus(); }).ok());
  EXPECT_LE(WalBytes(), 64 << 20);
  EXPECT_TRUE(Snapshot::Open(path_, &clock_, {absl::Minutes(10), 64 << 20}).ok());
}

}  // namespace
}  // namespace bitquake
