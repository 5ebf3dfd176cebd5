#include "common/http/http_server.h"

#include <civetweb.h>
#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace bitquake {

struct HttpServer::Impl {
  HttpOptions options;
  std::shared_ptr<prometheus::Collectable> metrics;
  mg_context* context = nullptr;

  ~Impl() {
    if (context != nullptr) {
      mg_stop(context);
    }
  }
};

namespace {

int Send(mg_connection* connection, int code, const char* type, const std::string& body) {
  mg_printf(connection,
            "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: "
            "no-store\r\n%s\r\n",
            code, mg_get_response_code_text(connection, code), type, body.size(),
            code == 401 ? "WWW-Authenticate: Bearer\r\nWWW-Authenticate: Basic "
                          "realm=\"bitquake: any name, and a token as password\"\r\n"
                        : "");
  mg_write(connection, body.data(), body.size());
  return code;
}

// True if the request may have what it asks for; answers it otherwise.
bool Allowed(mg_connection* connection, const HttpServer::Impl& impl, int* code) {
  if (!impl.options.allowed) {
    return true;
  }
  const char* authorization = mg_get_header(connection, "Authorization");
  const absl::Status status = impl.options.allowed(authorization == nullptr ? "" : authorization);
  if (status.ok()) {
    return true;
  }
  *code = Send(connection,
               absl::IsPermissionDenied(status) ? 403
               : absl::IsUnavailable(status)    ? 503
                                                : 401,
               "text/plain", absl::StrCat(status.message(), "\n"));
  return false;
}

int ServeMetrics(mg_connection* connection, void* impl) {
  int code = 200;
  if (!Allowed(connection, *static_cast<HttpServer::Impl*>(impl), &code)) {
    return code;
  }
  const auto& metrics = static_cast<HttpServer::Impl*>(impl)->metrics;
  return Send(connection, 200, "text/plain; version=0.0.4; charset=utf-8",
              prometheus::TextSerializer().Serialize(metrics->Collect()));
}

int ServeHealth(mg_connection* connection, void*) {
  return Send(connection, 200, "text/plain", "ok\n");
}

int ServeReadiness(mg_connection* connection, void* impl) {
  const absl::Status status = static_cast<HttpServer::Impl*>(impl)->options.ready();
  return status.ok() ? Send(connection, 200, "text/plain", "ok\n")
                     : Send(connection, 503, "text/plain", absl::StrCat(status.message(), "\n"));
}

}  // namespace

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(
    const HttpOptions& options, std::shared_ptr<prometheus::Collectable> metrics) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  impl->metrics = std::move(metrics);
  const char* settings[] = {"listening_ports",
                            options.address.c_str(),
                            "num_threads",
                            "4",
                            "request_timeout_ms",
                            "10000",
                            nullptr};
  mg_callbacks callbacks{};
  // Our logger says what matters; civetweb's own messages are dropped.
  callbacks.log_message = [](const mg_connection*, const char*) { return 1; };
  impl->context = mg_start(&callbacks, nullptr, settings);
  if (impl->context == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("cannot serve HTTP on ", options.address, "; is the port taken?"));
  }
  mg_set_request_handler(impl->context, "/metrics$", ServeMetrics, impl.get());
  mg_set_request_handler(impl->context, "/healthz$", ServeHealth, impl.get());
  mg_set_request_handler(impl->context, "/readyz$", ServeReadiness, impl.get());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

int HttpServer::port() const {
  mg_server_port ports[1] = {};
  return mg_get_server_ports(impl_->context, 1, ports) > 0 ? ports[0].port : 0;
}

}  // namespace bitquake
