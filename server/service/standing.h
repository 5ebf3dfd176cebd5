// Whether who opened a stream may still use it: a token or certificate may be revoked, or expire,
// meanwhile.
#pragma once

#include <grpcpp/server_context.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/service/access.h"

namespace bitquake {

// Thread-compatible.
class Standing {
 public:
  // `access` may be null: then everybody may. It and `call` must outlive this; `path` is the call's
  // in authorization.h.
  Standing(const Access* access, absl::string_view path, const grpc::ServerContextBase* call);

  // Looks at most once in kRecheckInterval. Errors: Access's.
  absl::Status Check();

 private:
  const Access* const access_;
  const absl::string_view path_;
  const grpc::ServerContextBase* const call_;
  absl::Duration checked_;  // when, by the clock of `access_`
};

}  // namespace bitquake
