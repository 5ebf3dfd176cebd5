// A disk that loses power: what was written and not synced is kept apart, and at each cut some of
// it is lost.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tests/server/store/vfs_shim.h"

namespace bitquake {

// As the files of the folder may be found after a cut: bytes by name, without the folder.
using DiskImage = std::map<std::string, std::string>;

class PowerCutVfs final : public VfsShim {
 public:
  // `cut` is called with what a cut would leave: before each sync and after it, and before one in
  // `writes_between` writes. All of what is not synced may be lost, or some of its sectors of 512
  // bytes, in any combination: torn pages and writes in another order are among these.
  PowerCutVfs(const std::string& folder, uint32_t seed, int writes_between,
              std::function<void(DiskImage)> cut);

  void Opened(const std::string& path) override;
  int BeforeWrite(const std::string& path, absl::string_view bytes, int64_t offset) override;
  int BeforeTruncate(const std::string& path, int64_t size) override;
  int BeforeSync(const std::string& path) override;
  void Deleted(const std::string& path) override;

 private:
  struct Change {
    bool truncates;
    int64_t offset;  // or the size
    std::string bytes;
  };
  struct File {
    std::string synced;
    std::vector<Change> pending;
  };

  static void Apply(const Change& change, std::string& bytes);
  void ApplyTorn(const Change& change, std::string& bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  DiskImage Cut() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int writes_between_;
  const std::function<void(DiskImage)> cut_;
  absl::Mutex mutex_;
  std::mt19937 random_ ABSL_GUARDED_BY(mutex_);
  int64_t writes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t cuts_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, File> files_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bitquake
