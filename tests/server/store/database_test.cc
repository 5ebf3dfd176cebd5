#include "server/store/database.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "common/campaign/campaign.h"
#include "server/store/migrations.h"
#include "server/store/result_reader.h"
#include "tests/server/cluster.h"

namespace bitquake {
namespace {

using testing::HasSubstr;

class DatabaseTest : public testing::Test {
 protected:
  absl::StatusOr<Database> Open(Database::Mode mode = Database::Mode::kReadWrite) {
    return Database::Open(path_, mode);
  }
  void Write(const std::string& bytes) { std::ofstream(path_, std::ios::binary) << bytes; }

  ScratchFolder folder_;
  const std::string path_ = folder_.Path("test.db");
};

TEST_F(DatabaseTest, AnEmptyFileIsMigratedToTheSchema) {
  Write("");
  auto db = Open();
  ASSERT_TRUE(db.ok()) << db.status();
  ASSERT_TRUE(Migrate(*db).ok());
  EXPECT_EQ(**db->QueryInt("PRAGMA user_version"), SchemaVersion());
  for (const char* table :
       {"campaigns", "models", "variants", "cells", "batches", "jobs", "leases", "workers",
        "goldens", "outcomes", "trials", "alarms", "fold_images", "outcome_images"}) {
    EXPECT_EQ(**db->QueryInt(std::string("SELECT count(*) FROM ") + table), 0) << table;
  }
}

// tests/data/store/version_1.db is what `bitquake run` of that version left: 4 cells of 2 trials on
// 2 folds of 20 images.
TEST_F(DatabaseTest, AStoredFileOfVersion1IsMigratedAndReadsAsItDid) {
  std::filesystem::copy_file(std::string(BITQUAKE_SOURCE_DIR) + "/tests/data/store/version_1.db",
                             path_);
  auto db = Open();
  ASSERT_TRUE(db.ok()) << db.status();
  ASSERT_EQ(**db->QueryInt("PRAGMA user_version"), 1);
  ASSERT_TRUE(Migrate(*db).ok());
  EXPECT_EQ(**db->QueryInt("PRAGMA user_version"), SchemaVersion());
  EXPECT_FALSE(db->QueryInt("SELECT * FROM pragma_foreign_key_check")->has_value());

  std::string id;
  ASSERT_TRUE(db->ForEach("SELECT id FROM campaigns", {}, [&](const Row& row) {
                  id = row.Text(0);
                  return absl::OkStatus();
                }).ok());
  const auto campaign = ReadCampaign(*db, id);
  ASSERT_TRUE(campaign.ok()) << campaign.status();
  EXPECT_EQ(campaign->name, "version-1");
  EXPECT_EQ(campaign->images, 40);
  ASSERT_EQ(campaign->goldens.size(), 2u);
  EXPECT_EQ(campaign->goldens[1].top1, 37);
  const auto parsed = ParseCampaign(campaign->resolved_json, "stored");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_FALSE(parsed->keep_images);
  std::vector<CellResult> cells;
  ASSERT_TRUE(ReadCells(*db, id, [&](CellResult cell) {
                cells.push_back(std::move(cell));
                return absl::OkStatus();
              }).ok());
  ASSERT_EQ(cells.size(), 4u);
  EXPECT_EQ(cells[1].number, 1);
  EXPECT_EQ(cells[1].key.ber, 1e-2);
  ASSERT_EQ(cells[1].trials.size(), 2u);
  EXPECT_EQ(cells[1].trials[0].top1 + cells[1].trials[1].top1, 69);
  const auto never = [](const auto&) { return absl::InternalError("it kept no images"); };
  EXPECT_TRUE(ReadImages(*db, id, never, never).ok());
}

// tests/data/store/version_2.db is what `bitquake run` of that version left: 4 cells of 2 trials on
// 2 folds of 20 images, with images kept; at one of the two rates nothing was flipped.
TEST_F(DatabaseTest, AStoredFileOfVersion2IsMigratedAndSaysWhatWasSaved) {
  std::filesystem::copy_file(std::string(BITQUAKE_SOURCE_DIR) + "/tests/data/store/version_2.db",
                             path_);
  auto db = Open();
  ASSERT_TRUE(db.ok()) << db.status();
  ASSERT_EQ(**db->QueryInt("PRAGMA user_version"), 2);
  ASSERT_TRUE(Migrate(*db).ok());
  EXPECT_EQ(**db->QueryInt("PRAGMA user_version"), SchemaVersion());
  EXPECT_FALSE(db->QueryInt("SELECT * FROM pragma_foreign_key_check")->has_value());
  EXPECT_EQ(**db->QueryInt("SELECT images_done FROM campaigns"), 400);
  EXPECT_EQ(**db->QueryInt("SELECT images_without_flips FROM campaigns"), 160);
  EXPECT_EQ(**db->QueryInt("SELECT images_copied FROM campaigns"), 0);
  EXPECT_EQ(**db->QueryInt("SELECT sum(positions) FROM variants"), 4);
  std::string id;
  ASSERT_TRUE(db->ForEach("SELECT id, resolved FROM campaigns", {}, [&](const Row& row) {
                  id = row.Text(0);
                  const auto parsed = ParseCampaign(row.Text(1), "stored");
                  EXPECT_TRUE(parsed.ok()) << parsed.status();
                  EXPECT_EQ(parsed->trials.max, 2);
                  EXPECT_FALSE(parsed->trials.adaptive());
                  return absl::OkStatus();
                }).ok());
  std::vector<int64_t> numbers;
  ASSERT_TRUE(ReadCells(*db, id, [&](const CellResult& cell) {
                numbers.push_back(cell.number);
                EXPECT_EQ(cell.trials.size(), 2u);
                return absl::OkStatus();
              }).ok());
  EXPECT_EQ(numbers, (std::vector<int64_t>{0, 1, 2, 3}));
  int64_t bitmaps = 0;
  ASSERT_TRUE(ReadImages(
                  *db, id, [](const StoredFold&) { return absl::OkStatus(); },
                  [&](const StoredFoldOutcome& outcome) {
                    EXPECT_EQ(outcome.cell, bitmaps++ / 4);
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_EQ(bitmaps, 16);
}

TEST_F(DatabaseTest, WhatWasWrittenIsThereAfterReopening) {
  {
    auto db = Open();
    ASSERT_TRUE(db.ok()) << db.status();
    ASSERT_TRUE(Migrate(*db).ok());
    ASSERT_TRUE(db->Run("INSERT INTO alarms (unix_ms, kind, worker, detail) VALUES (?, ?, ?, ?)",
                        {7, "kind", "worker", "detail"})
                    .ok());
  }
  auto db = Open();
  ASSERT_TRUE(db.ok()) << db.status();
  ASSERT_TRUE(Migrate(*db).ok());  // nothing is left to do
  EXPECT_EQ(**db->QueryInt("SELECT unix_ms FROM alarms"), 7);
}

TEST_F(DatabaseTest, ADatabaseOfSomethingElseIsRefusedAndLeftAlone) {
  auto db = Open();
  ASSERT_TRUE(db->RunScript("CREATE TABLE songs (title TEXT)").ok());
  EXPECT_EQ(Migrate(*db).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(**db->QueryInt("SELECT count(*) FROM sqlite_schema"), 1);
}

TEST_F(DatabaseTest, AFileThatIsNoDatabaseIsRefusedAndLeftAlone) {
  for (const size_t size : {10, 100, 5000}) {
    const std::string text(size, 'x');
    Write(text);
    const auto db = Open();
    EXPECT_EQ(db.status().code(), absl::StatusCode::kFailedPrecondition) << db.status();
    std::ifstream file(path_, std::ios::binary);
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), text);
  }
}

TEST_F(DatabaseTest, AMissingFileIsNotFoundForAReaderAndNotMade) {
  EXPECT_EQ(Open(Database::Mode::kReadOnly).status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(DatabaseTest, AReaderCannotWriteAndSeesWhatIsCommittedOnly) {
  auto writer = Open();
  ASSERT_TRUE(writer->RunScript("CREATE TABLE t (a INTEGER)").ok());
  auto reader = Open(Database::Mode::kReadOnly);
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(reader->Run("INSERT INTO t VALUES (1)").code(), absl::StatusCode::kPermissionDenied);

  ASSERT_TRUE(writer->Run("BEGIN").ok());
  ASSERT_TRUE(writer->Run("INSERT INTO t VALUES (?)", {1}).ok());
  EXPECT_EQ(**reader->QueryInt("SELECT count(*) FROM t"), 0);
  ASSERT_TRUE(writer->Run("COMMIT").ok());
  EXPECT_EQ(**reader->QueryInt("SELECT count(*) FROM t"), 1);
}

TEST_F(DatabaseTest, ValuesComeBackAsTheyWereBound) {
  auto db = Open();
  ASSERT_TRUE(
      db->RunScript("CREATE TABLE t (a INTEGER, b REAL, c TEXT, d BLOB, e TEXT) STRICT").ok());
  const std::string bytes("a\0b", 3);
  ASSERT_TRUE(db->Run("INSERT INTO t VALUES (?, ?, ?, ?, ?)",
                      {int64_t{1} << 62, 1e-300, bytes, Blob{bytes}, nullptr})
                  .ok());
  int rows = 0;
  ASSERT_TRUE(db->ForEach("SELECT a, b, c, d, e FROM t", {}, [&](const Row& row) {
                  ++rows;
                  EXPECT_EQ(row.Int(0), int64_t{1} << 62);
                  EXPECT_EQ(row.Double(1), 1e-300);
                  EXPECT_EQ(row.Text(2), bytes);
                  EXPECT_EQ(row.Text(3), bytes);
                  EXPECT_TRUE(row.IsNull(4));
                  return absl::OkStatus();
                }).ok());
  EXPECT_EQ(rows, 1);
  // A kept statement forgets what was bound to it.
  ASSERT_TRUE(db->Run("INSERT INTO t (a) VALUES (?)", {2}).ok());
  ASSERT_TRUE(db->Run("INSERT INTO t (a) VALUES (?)").ok());
  EXPECT_EQ(**db->QueryInt("SELECT count(*) FROM t WHERE a IS NULL"), 1);
  EXPECT_FALSE(db->QueryInt("SELECT max(a) FROM t WHERE a < 0")->has_value());
}

TEST_F(DatabaseTest, AConstraintIsAlreadyExists) {
  auto db = Open();
  ASSERT_TRUE(db->RunScript("CREATE TABLE t (a INTEGER UNIQUE, b INTEGER REFERENCES t (a))").ok());
  ASSERT_TRUE(db->Run("INSERT INTO t (a) VALUES (1)").ok());
  EXPECT_EQ(db->Run("INSERT INTO t (a) VALUES (1)").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(db->Run("INSERT INTO t VALUES (2, 3)").code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(DatabaseTest, AMistakeInTheStatementIsInternalAndNamesIt) {
  auto db = Open();
  const absl::Status status = db->Run("SELECT nothing FROM nowhere");
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("nowhere"));
}

}  // namespace
}  // namespace bitquake
