// Between SQLite and the disk: an SQLite VFS that asks before each change of a file below a folder.
// It is the process's default VFS as long as it lives; connections opened before or after it do not
// pass through it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace bitquake {

// The hooks return an SQLite code; anything but SQLITE_OK is the answer to SQLite in place of the
// change. They are called on the threads of the connections, also at the same time.
class VfsShim {
 public:
  explicit VfsShim(const std::string& folder);
  virtual ~VfsShim();
  VfsShim(const VfsShim&) = delete;

  const std::string& folder() const { return folder_; }  // ends in "/"

  virtual void Opened(const std::string& path);
  virtual int BeforeRead(const std::string& path);
  virtual int BeforeWrite(const std::string& path, absl::string_view bytes, int64_t offset);
  virtual int BeforeTruncate(const std::string& path, int64_t size);
  virtual int BeforeSync(const std::string& path);
  virtual int BeforeGrowingSharedMemory(const std::string& path);
  virtual void Deleted(const std::string& path);

 private:
  struct Vfs;
  const std::string folder_;
  std::unique_ptr<Vfs> vfs_;
};

}  // namespace bitquake
