#include "server/store/file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/server/cluster.h"

namespace bitquake {
namespace {

using testing::HasSubstr;

TEST(FileSystem, NetworkFileSystemsAreKnownByTypeOrMount) {
  const std::pair<FileSystem, const char*> known[] = {
      {{0x6969, "nfs4"}, "NFS"},
      {{0xff534d42, "cifs"}, "CIFS"},
      {{0xfe534d42, "smb3"}, "SMB"},
      {{0x01021997, "9p"}, "9P"},
      {{0x0bd00bd0, "lustre"}, "Lustre"},
      {{0x00c36400, "ceph"}, "Ceph"},
      {{0x47504653, "gpfs"}, "GPFS"},
      {{0x19830326, "beegfs"}, "BeeGFS"},
      {{0x65735546, "fuse.sshfs"}, "sshfs"},
      {{0x65735546, "fuse.glusterfs"}, "GlusterFS"},
      {{0xef53, "ext4"}, ""},
      {{0x58465342, "xfs"}, ""},
      {{0x9123683e, "btrfs"}, ""},
      {{0x2fc12fc1, "zfs"}, ""},
      {{0x01021994, "tmpfs"}, ""},
      {{0x794c7630, "overlay"}, ""},
      {{0x65735546, "fuse.fuse-overlayfs"}, ""},
      {{0x65735546, "fuseblk"}, ""},
  };
  for (const auto& [file_system, name] : known) {
    EXPECT_EQ(NetworkName(file_system), name) << file_system.name;
  }
}

TEST(FileSystem, AStoreOnANetworkIsRefusedWithTheReason) {
  const absl::Status refused = CheckLocalDisk("/home/me/bitquake.db", [](const std::string&) {
    return FileSystem{0x6969, "nfs"};
  });
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("/home/me/bitquake.db"));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("(NFS)"));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("a disk of this machine"));
}

TEST(FileSystem, TheFolderOfAFileThatIsNotMadeYetIsLookedAt) {
  ScratchFolder folder;
  const auto here = FileSystemOf(folder.Path("new.db"));
  ASSERT_TRUE(here.ok()) << here.status();
  EXPECT_FALSE(here->name.empty());
  EXPECT_TRUE(CheckLocalDisk(folder.Path("new.db")).ok());
  EXPECT_TRUE(CheckLocalDisk("new.db").ok());
  const auto proc = FileSystemOf("/proc/new.db");
  ASSERT_TRUE(proc.ok()) << proc.status();
  EXPECT_EQ(proc->type, 0x9fa0u);
  EXPECT_EQ(proc->name, "proc");
}

TEST(FileSystem, ALinkIsFollowedToWhereTheFileLies) {
  ScratchFolder folder;
  std::filesystem::create_symlink("/proc/version", folder.Path("link.db"));
  const auto there = FileSystemOf(folder.Path("link.db"));
  ASSERT_TRUE(there.ok()) << there.status();
  EXPECT_EQ(there->name, "proc");
}

TEST(FileSystem, AMissingFolderIsAnErrorThatNamesIt) {
  const absl::Status missing = CheckLocalDisk("/no/such/folder/bitquake.db");
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("/no/such/folder"));
}

}  // namespace
}  // namespace bitquake
