// Whole files: read, written so that a reader sees the old or the new one, mapped.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bitquake {

// Refuses files above `max_bytes`.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes = size_t{1} << 30);

// Differs when the file at `path` was replaced or written to: its device, inode, size and time of
// change. Errors: NotFound.
absl::StatusOr<std::string> FileStamp(const std::string& path);

// Writes to an open file, over interruptions; `path` names it in errors.
absl::Status WriteAll(int fd, absl::string_view bytes, const std::string& path);

// Writes beside `path`, syncs, renames over it, syncs the folder.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view bytes);

// A read-only memory map; movable, unmaps at destruction. An empty file maps to no bytes.
class MappedFile {
 public:
  static absl::StatusOr<MappedFile> Open(const std::string& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  absl::string_view bytes() const { return {static_cast<const char*>(data_), size_}; }

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace bitquake
