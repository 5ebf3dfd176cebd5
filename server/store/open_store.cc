#include "server/store/open_store.h"

#include "common/base/status_macros.h"
#include "server/store/check.h"
#include "server/store/file_system.h"
#include "server/store/migrations.h"

namespace bitquake {

absl::StatusOr<Database> OpenStore(const std::string& path, const Clock& clock) {
  constexpr absl::Duration kLooking = absl::Seconds(2);
  RETURN_IF_ERROR(CheckLocalDisk(path));
  ASSIGN_OR_RETURN(Database db, Database::Open(path, Database::Mode::kReadWrite));
  RETURN_IF_ERROR(QuickCheck(db, kLooking, clock));
  RETURN_IF_ERROR(Migrate(db));
  return db;
}

}  // namespace bitquake
