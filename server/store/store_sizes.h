// How large a store's files are, and how much their disk can still take.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace bitquake {

struct StoreSizes {  // bytes
  int64_t database = 0;
  int64_t wal = 0;        // 0 if there is none
  int64_t disk_free = 0;  // what this process may still write
  int64_t disk = 0;
};

// Of the database at `path`; asks the file system only, so any thread may. Errors: those of the
// file system.
absl::StatusOr<StoreSizes> SizesOfStore(const std::string& path);

}  // namespace bitquake
