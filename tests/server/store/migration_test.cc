// Stored files of every older version: tests/data/store/version_N.db is what `bitquake run` of that
// version left.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/store/check.h"
#include "server/store/migrations.h"
#include "tests/server/cluster.h"

namespace bitquake {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

using Rows = std::vector<std::vector<std::string>>;  // values as SQL literals

std::vector<std::string> Texts(Database& db, const std::string& sql) {
  std::vector<std::string> texts;
  const absl::Status read = db.ForEach(sql, {}, [&](const Row& row) {
    texts.push_back(row.Text(0));
    return absl::OkStatus();
  });
  EXPECT_TRUE(read.ok()) << read;
  return texts;
}

std::vector<std::string> Tables(Database& db) {
  return Texts(db,
               "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' "
               "ORDER BY name");
}

std::vector<std::string> Columns(Database& db, const std::string& table) {
  return Texts(db, absl::StrCat("SELECT name FROM pragma_table_info('", table, "')"));
}

Rows Read(Database& db, const std::string& table, const std::vector<std::string>& columns) {
  Rows rows;
  const absl::Status read =
      db.ForEach(absl::StrCat("SELECT quote(", absl::StrJoin(columns, "), quote("), ") FROM ",
                              table, " ORDER BY ", absl::StrJoin(columns, ", ")),
                 {}, [&](const Row& row) {
                   std::vector<std::string>& values = rows.emplace_back();
                   for (size_t i = 0; i < columns.size(); ++i) {
                     values.push_back(row.Text(static_cast<int>(i)));
                   }
                   return absl::OkStatus();
                 });
  EXPECT_TRUE(read.ok()) << read;
  return rows;
}

// What a fresh store has: columns with their types and defaults, and what belongs to tables.
std::map<std::string, std::vector<std::string>> Shape(Database& db) {
  std::map<std::string, std::vector<std::string>> shape;
  for (const std::string& table : Tables(db)) {
    shape[table] = Texts(db, absl::StrCat("SELECT name || ' ' || type || ' ' || \"notnull\" || ' ' "
                                          "|| coalesce(dflt_value, '') || ' ' || pk FROM "
                                          "pragma_table_info('",
                                          table, "')"));
  }
  shape["indexes and triggers"] =
      Texts(db, "SELECT name FROM sqlite_schema WHERE type IN ('index', 'trigger') ORDER BY name");
  return shape;
}

std::string StoredFile(int version) {
  return absl::StrCat(BITQUAKE_SOURCE_DIR, "/tests/data/store/version_", version, ".db");
}

TEST(Migration, EachOlderVersionKeepsEveryValueOfEveryRow) {
  for (int version = 1; version < SchemaVersion(); ++version) {
    SCOPED_TRACE(absl::StrCat("version ", version));
    ASSERT_TRUE(std::filesystem::exists(StoredFile(version))) << "keep a file of this version";
    ScratchFolder folder;
    const std::string path = folder.Path("stored.db");
    std::filesystem::copy_file(StoredFile(version), path);
    absl::StatusOr<Database> db = Database::Open(path, Database::Mode::kReadWrite);
    ASSERT_TRUE(db.ok()) << db.status();
    ASSERT_EQ(**db->QueryInt("PRAGMA user_version"), version);

    std::map<std::string, std::vector<std::string>> columns;
    std::map<std::string, Rows> before;
    size_t values = 0;
    for (const std::string& table : Tables(*db)) {
      columns[table] = Columns(*db, table);
      before[table] = Read(*db, table, columns[table]);
      values += before[table].size() * columns[table].size();
    }
    EXPECT_GT(values, 500u);
    const absl::Status migrated = Migrate(*db);
    ASSERT_TRUE(migrated.ok()) << migrated;
    EXPECT_EQ(**db->QueryInt("PRAGMA user_version"), SchemaVersion());
    for (const auto& [table, rows] : before) {
      EXPECT_EQ(Read(*db, table, columns[table]), rows) << table;
    }
    const auto findings = CheckStore(*db);
    ASSERT_TRUE(findings.ok()) << findings.status();
    EXPECT_THAT(*findings, IsEmpty());

    ScratchFolder other;
    absl::StatusOr<Database> fresh =
        Database::Open(other.Path("fresh.db"), Database::Mode::kReadWrite);
    ASSERT_TRUE(Migrate(*fresh).ok());
    EXPECT_EQ(Shape(*db), Shape(*fresh));
  }
}

TEST(Migration, ANewerSchemaIsRefusedNamingBothVersionsAndLeftAlone) {
  ScratchFolder folder;
  absl::StatusOr<Database> db = Database::Open(folder.Path("newer.db"), Database::Mode::kReadWrite);
  ASSERT_TRUE(Migrate(*db).ok());
  ASSERT_TRUE(db->RunScript("PRAGMA user_version = 1000").ok());
  const absl::Status refused = Migrate(*db);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("version 1000"));
  EXPECT_THAT(std::string(refused.message()), HasSubstr(absl::StrCat("knows ", SchemaVersion())));
  EXPECT_EQ(**db->QueryInt("PRAGMA user_version"), 1000);
}

// A step that fails leaves the version before it, whole.
TEST(Migration, AStepThatFailsLeavesTheVersionBeforeIt) {
  ScratchFolder folder;
  const std::string path = folder.Path("stored.db");
  std::filesystem::copy_file(StoredFile(1), path);
  absl::StatusOr<Database> db = Database::Open(path, Database::Mode::kReadWrite);
  ASSERT_TRUE(db.ok()) << db.status();
  ASSERT_TRUE(db->RunScript("CREATE TABLE outcome_attention (a)").ok());  // in step 2's way
  EXPECT_FALSE(Migrate(*db).ok());
  EXPECT_FALSE(db->in_transaction());
  EXPECT_EQ(**db->QueryInt("PRAGMA user_version"), 1);
  EXPECT_EQ(**db->QueryInt("SELECT count(*) FROM sqlite_schema WHERE name = 'fold_images'"), 0);
  ASSERT_TRUE(db->RunScript("DROP TABLE outcome_attention").ok());
  EXPECT_TRUE(Migrate(*db).ok());
}

}  // namespace
}  // namespace bitquake
