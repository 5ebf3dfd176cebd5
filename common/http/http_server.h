// The HTTP side of a coordinator or a worker: /metrics for Prometheus, /healthz (the process lives)
// and /readyz (it can do its work); other pages where it is given them. It knows nothing of what it
// serves: it is given functions.
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
  int streams = 0;  // answers that go on at the same time: each keeps one of the server's threads
};

struct HttpRequest {
  std::string path;        // "/campaigns/a b", without percent signs
  std::string query;       // what follows the "?", as it came
  std::string last_event;  // Last-Event-ID, of a stream that is asked for again
};

// The value of a name in a query, without percent signs; empty if it is not there.
std::string QueryValue(const std::string& query, const std::string& name);

// An answer: one Send, or a Start and then as many Writes as it takes. Used by one thread.
class HttpReply {
 public:
  // A whole page. `headers` are lines of their own: "Allow: GET\r\n".
  virtual void Send(int code, absl::string_view type, absl::string_view body,
                    absl::string_view headers = "") = 0;
  // The beginning of one whose end is not known yet.
  virtual void Start(absl::string_view type) = 0;
  // False if the reader is gone, or has not read for ten seconds.
  virtual bool Write(absl::string_view bytes) = 0;

 protected:
  ~HttpReply() = default;
};

// Called on one of the server's threads, which it may keep.
using HttpHandler = std::function<void(const HttpRequest& request, HttpReply& reply)>;

// Serves from its own threads until destroyed. Thread-safe.
class HttpServer {
 public:
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(
      const HttpOptions& options, std::shared_ptr<prometheus::Collectable> metrics);
  // Waits for handlers: those that stay must be told to end before.
  ~HttpServer();

  // Answers GET and HEAD of paths that match `pattern` (civetweb's: "/campaigns$",
  // "/campaigns/**").
  void Handle(const std::string& pattern, HttpHandler handler);

  int port() const;

  struct Impl;

 private:
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitquake
