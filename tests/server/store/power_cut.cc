#include "tests/server/store/power_cut.h"

#include <sqlite3.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

namespace bitquake {

PowerCutVfs::PowerCutVfs(const std::string& folder, uint32_t seed, int writes_between,
                         std::function<void(DiskImage)> cut)
    : VfsShim(folder), writes_between_(writes_between), cut_(std::move(cut)), random_(seed) {}

// What lies there already has been there for long.
void PowerCutVfs::Opened(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  if (files_.count(path) == 0) {
    std::ifstream file(path, std::ios::binary);
    files_[path].synced = std::string(std::istreambuf_iterator<char>(file), {});
  }
}

int PowerCutVfs::BeforeWrite(const std::string& path, absl::string_view bytes, int64_t offset) {
  absl::MutexLock lock(&mutex_);
  if (++writes_ % writes_between_ == 0) {
    cut_(Cut());
  }
  files_[path].pending.push_back({false, offset, std::string(bytes)});
  return SQLITE_OK;
}

int PowerCutVfs::BeforeTruncate(const std::string& path, int64_t size) {
  absl::MutexLock lock(&mutex_);
  files_[path].pending.push_back({true, size, ""});
  return SQLITE_OK;
}

int PowerCutVfs::BeforeSync(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  cut_(Cut());
  File& file = files_[path];
  for (const Change& change : std::exchange(file.pending, {})) {
    Apply(change, file.synced);
  }
  cut_(Cut());
  return SQLITE_OK;
}

void PowerCutVfs::Deleted(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  files_.erase(path);
}

void PowerCutVfs::Apply(const Change& change, std::string& bytes) {
  const auto offset = static_cast<size_t>(change.offset);
  if (change.truncates) {
    bytes.resize(offset);
    return;
  }
  bytes.resize(std::max(bytes.size(), offset + change.bytes.size()));
  bytes.replace(offset, change.bytes.size(), change.bytes);
}

void PowerCutVfs::ApplyTorn(const Change& change, std::string& bytes) {
  constexpr int64_t kSector = 512;
  if (change.truncates) {
    if (random_() % 2 == 0) {
      Apply(change, bytes);
    }
    return;
  }
  const auto size = static_cast<int64_t>(change.bytes.size());
  for (int64_t first = 0; first < size;) {
    const int64_t end =
        std::min(size, ((change.offset + first) / kSector + 1) * kSector - change.offset);
    if (random_() % 2 == 0) {
      Apply({false, change.offset + first,
             change.bytes.substr(static_cast<size_t>(first), static_cast<size_t>(end - first))},
            bytes);
    }
    first = end;
  }
}

DiskImage PowerCutVfs::Cut() {
  const bool all_is_lost = cuts_++ % 3 == 0;
  DiskImage image;
  for (const auto& [path, file] : files_) {
    std::string bytes = file.synced;
    if (!all_is_lost) {
      for (const Change& change : file.pending) {
        ApplyTorn(change, bytes);
      }
    }
    image[path.substr(folder().size())] = std::move(bytes);
  }
  return image;
}

}  // namespace bitquake
