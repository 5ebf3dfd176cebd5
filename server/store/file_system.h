// Where a store may lie: on a disk of this machine.
//
// SQLite's WAL is shared between processes by locks and mapped memory. Network file systems give
// neither as it needs them: a store there can lose what was acknowledged, or be damaged, silently.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bitquake {

struct FileSystem {
  uint32_t type = 0;  // statfs's f_type
  std::string name;   // as mounts are listed, "fuse.sshfs"; empty where that is not known
};

// Of the folder in which `path` is, or would be. Errors: those of statfs.
absl::StatusOr<FileSystem> FileSystemOf(const std::string& path);

// What people call it, "NFS"; empty if it is none that is known to be shared by a network.
absl::string_view NetworkName(const FileSystem& file_system);

// FailedPrecondition with the reason if `path` lies on a network file system. `probe` is a seam for
// tests.
absl::Status CheckLocalDisk(
    const std::string& path,
    const std::function<absl::StatusOr<FileSystem>(const std::string&)>& probe = FileSystemOf);

}  // namespace bitquake
