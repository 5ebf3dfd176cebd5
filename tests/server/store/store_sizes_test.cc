#include "server/store/store_sizes.h"

#include <gtest/gtest.h>

#include "server/store/database.h"
#include "tests/server/cluster.h"

namespace bitquake {
namespace {

TEST(StoreSizes, AreThoseOfTheFilesAndTheirDisk) {
  ScratchFolder folder;
  const std::string path = folder.Path("a.db");
  auto db = Database::Open(path, Database::Mode::kReadWrite);
  ASSERT_TRUE(db.ok()) << db.status();
  ASSERT_TRUE(db->Run("CREATE TABLE t (a BLOB)").ok());
  ASSERT_TRUE(db->Run("INSERT INTO t VALUES (zeroblob(1000000))").ok());
  auto sizes = SizesOfStore(path);
  ASSERT_TRUE(sizes.ok()) << sizes.status();
  EXPECT_GT(sizes->wal, 1'000'000) << "written, not yet in the database";
  EXPECT_LT(sizes->wal, 2'000'000);
  EXPECT_GT(sizes->disk, sizes->disk_free);

  ASSERT_TRUE(db->RunScript("PRAGMA wal_checkpoint(TRUNCATE)").ok());
  sizes = SizesOfStore(path);
  ASSERT_TRUE(sizes.ok()) << sizes.status();
  EXPECT_EQ(sizes->wal, 0);
  EXPECT_GT(sizes->database, 1'000'000);
  EXPECT_EQ(sizes->database, static_cast<int64_t>(std::filesystem::file_size(path)));
}

TEST(StoreSizes, OfNoDatabaseIsAnErrorThatNamesIt) {
  const auto sizes = SizesOfStore("/no/such/a.db");
  EXPECT_EQ(sizes.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(sizes.status().message().find("/no/such/a.db"), std::string::npos);
}

}  // namespace
}  // namespace bitquake
