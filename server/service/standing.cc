#include "server/service/standing.h"

#include "server/service/limits.h"

namespace bitquake {

Standing::Standing(const Access* access, absl::string_view path,
                   const grpc::ServerContextBase* call)
    : access_(access),
      path_(path),
      call_(call),
      checked_(access == nullptr ? absl::ZeroDuration() : access->clock().Monotonic()) {}

absl::Status Standing::Check() {
  if (access_ == nullptr) {
    return absl::OkStatus();
  }
  const absl::Duration now = access_->clock().Monotonic();
  if (now - checked_ < kRecheckInterval) {
    return absl::OkStatus();
  }
  checked_ = now;
  return access_->Recheck(path_, *call_);
}

}  // namespace bitquake
