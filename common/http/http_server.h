// The HTTP side of a coordinator or a worker: /metrics for Prometheus, /healthz (the process lives)
// and /readyz (it can do its work). It knows nothing of either: it is given functions.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace prometheus {
class Collectable;
}

namespace bitquake {

struct HttpOptions {
  std::string address;                  // "127.0.0.1:9464"; port 0 lets the system choose
  std::function<absl::Status()> ready;  // what /readyz answers; from any thread
  // Whether a request with this Authorization header ("" if it has none) may read pages other than
  // /healthz and /readyz; from any thread. PermissionDenied becomes 403, Unavailable 503, all else
  // 401. Empty: everybody may.
  std::function<absl::Status(absl::string_view authorization)> allowed = nullptr;
};

// Serves from its own threads until destroyed. Thread-safe.
class HttpServer {
 public:
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(
      const HttpOptions& options, std::shared_ptr<prometheus::Collectable> metrics);
  ~HttpServer();

  int port() const;

  struct Impl;

 private:
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitquake
