#include "server/store/file_system.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

constexpr uint32_t kFuse = 0x65735546;

// linux/magic.h has most of these; those of file systems outside of the kernel come from them.
struct KnownType {
  uint32_t type;
  const char* name;
};
constexpr KnownType kNetworkTypes[] = {
    {0x6969, "NFS"},
    {0xff534d42, "CIFS"},
    {0xfe534d42, "SMB"},
    {0x517b, "SMB"},
    {0x01021997, "9P"},
    {0x0bd00bd0, "Lustre"},
    {0x00c36400, "Ceph"},
    {0x5346414f, "AFS"},
    {0x6b414653, "AFS"},
    {0x73757245, "Coda"},
    {0x47504653, "GPFS"},
    {0x19830326, "BeeGFS"},
    {0x7461636f, "OCFS2"},
    {0x01161970, "GFS2"},
    {0x20030528, "OrangeFS"},
    {0xaad7aaea, "Panasas"},
    {0x786f4256, "VirtualBox's shared folders"},
};

// What FUSE serves is told apart by the names of its mounts: of these, the part after "fuse.".
struct KnownName {
  const char* mount;
  const char* name;
};
constexpr KnownName kNetworkMounts[] = {
    {"sshfs", "sshfs"},
    {"glusterfs", "GlusterFS"},
    {"ceph", "Ceph"},
    {"ceph-fuse", "Ceph"},
    {"s3fs", "s3fs"},
    {"rclone", "rclone"},
    {"gcsfuse", "gcsfuse"},
    {"goofys", "goofys"},
    {"mount-s3", "Mountpoint for S3"},
    {"blobfuse", "blobfuse"},
    {"blobfuse2", "blobfuse"},
    {"davfs", "WebDAV"},
    {"curlftpfs", "FTP"},
    {"juicefs", "JuiceFS"},
    {"JuiceFS", "JuiceFS"},
    {"mfs", "MooseFS"},
    {"moosefs", "MooseFS"},
    {"lizardfs", "LizardFS"},
    {"beegfs", "BeeGFS"},
    {"weka", "Weka"},
    {"vmhgfs-fuse", "VMware's shared folders"},
    {"alluxio-fuse", "Alluxio"},
    {"hadoop-fuse-dfs", "HDFS"},
    {"orangefs", "OrangeFS"},
};

// The type of the mount that the device number is of: a line of mountinfo is "36 35 98:0 /root
// /mount options - TYPE source ...".
std::string MountType(dev_t device) {
  std::ifstream mounts("/proc/self/mountinfo");
  const std::string number = absl::StrCat(major(device), ":", minor(device));
  for (std::string line; std::getline(mounts, line);) {
    const std::vector<std::string> halves = absl::StrSplit(line, absl::MaxSplits(" - ", 1));
    const std::vector<std::string> left = absl::StrSplit(halves[0], ' ');
    if (halves.size() == 2 && left.size() > 2 && left[2] == number) {
      return std::string(absl::string_view(halves[1]).substr(0, halves[1].find(' ')));
    }
  }
  return "";
}

}  // namespace

absl::StatusOr<FileSystem> FileSystemOf(const std::string& path) {
  // Through links: the store lies where the file does.
  std::error_code error;
  std::filesystem::path file = std::filesystem::absolute(path, error);
  if (const auto canonical = std::filesystem::weakly_canonical(file, error); !error) {
    file = canonical;
  }
  const std::string folder = file.parent_path().string();
  struct statfs system = {};
  struct stat status = {};
  if (statfs(folder.c_str(), &system) != 0 || stat(folder.c_str(), &status) != 0) {
    return ErrnoStatus(folder);
  }
  return FileSystem{static_cast<uint32_t>(system.f_type), MountType(status.st_dev)};
}

absl::string_view NetworkName(const FileSystem& file_system) {
  for (const KnownType& known : kNetworkTypes) {
    if (file_system.type == known.type) {
      return known.name;
    }
  }
  if (file_system.type == kFuse) {
    const absl::string_view name(file_system.name);
    for (const KnownName& known : kNetworkMounts) {
      if (name == absl::StrCat("fuse.", known.mount) || name == known.mount) {
        return known.name;
      }
    }
  }
  return "";
}

absl::Status CheckLocalDisk(
    const std::string& path,
    const std::function<absl::StatusOr<FileSystem>(const std::string&)>& probe) {
  ASSIGN_OR_RETURN(const FileSystem file_system, probe(path));
  const absl::string_view network = NetworkName(file_system);
  if (network.empty()) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      path, ": lies on a network file system (", network,
      "), whose locks and shared memory do not hold what SQLite needs of them, so that results "
      "could be lost; keep the database on a disk of this machine"));
}

}  // namespace bitquake
