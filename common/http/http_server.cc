#include "common/http/http_server.h"

#include <civetweb.h>
#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <list>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

namespace bitquake {

namespace {

struct Page {
  HttpServer::Impl* server;
  HttpHandler handler;
};

}  // namespace

struct HttpServer::Impl {
  HttpOptions options;
  absl::Mutex mutex;
  std::list<Page> pages ABSL_GUARDED_BY(mutex);  // which civetweb points into
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

class Reply final : public HttpReply {
 public:
  explicit Reply(mg_connection* connection)
      : connection_(connection),
        head_(absl::string_view(mg_get_request_info(connection)->request_method) == "HEAD") {}

  void Send(int code, absl::string_view type, absl::string_view body,
            absl::string_view headers) override {
    SendHead(code, absl::StrCat("Content-Type: ", type, "\r\nContent-Length: ", body.size(), "\r\n",
                                headers));
    Write(body);
  }

  void Start(absl::string_view type) override {
    SendHead(200, absl::StrCat("Content-Type: ", type, "\r\nConnection: close\r\n"));
  }

  bool Write(absl::string_view bytes) override {
    return !head_ &&
           mg_write(connection_, bytes.data(), bytes.size()) == static_cast<int>(bytes.size());
  }

  int code() const { return code_; }

 private:
  void SendHead(int code, const std::string& headers) {
    code_ = code;
    const std::string head =
        absl::StrCat("HTTP/1.1 ", code, " ", mg_get_response_code_text(connection_, code), "\r\n",
                     headers, "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
                     "Referrer-Policy: no-referrer\r\nX-Frame-Options: DENY\r\n\r\n");
    mg_write(connection_, head.data(), head.size());
  }

  mg_connection* const connection_;
  const bool head_;
  int code_ = 500;
};

int ServePage(mg_connection* connection, void* page) {
  int refused = 0;
  if (!Allowed(connection, *static_cast<Page*>(page)->server, &refused)) {
    return refused;
  }
  const mg_request_info* info = mg_get_request_info(connection);
  const absl::string_view method = info->request_method;
  Reply reply(connection);
  if (method != "GET" && method != "HEAD") {
    reply.Send(405, "text/plain", "pages are only read\n", "Allow: GET, HEAD\r\n");
    return reply.code();
  }
  const char* query = info->query_string;
  const char* last_event = mg_get_header(connection, "Last-Event-ID");
  const HttpRequest request = {info->local_uri, query == nullptr ? "" : query,
                               last_event == nullptr ? "" : last_event};
  static_cast<Page*>(page)->handler(request, reply);
  return reply.code();
}

}  // namespace

std::string QueryValue(const std::string& query, const std::string& name) {
  std::string value(query.size() + 1, '\0');
  const int size = mg_get_var(query.data(), query.size(), name.c_str(), value.data(), value.size());
  value.resize(std::max(size, 0));
  return value;
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(
    const HttpOptions& options, std::shared_ptr<prometheus::Collectable> metrics) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  impl->metrics = std::move(metrics);
  const std::string threads = absl::StrCat(4 + options.streams);
  const char* settings[] = {"listening_ports",
                            options.address.c_str(),
                            "num_threads",
                            threads.c_str(),
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

void HttpServer::Handle(const std::string& pattern, HttpHandler handler) {
  absl::MutexLock lock(&impl_->mutex);
  impl_->pages.push_back({impl_.get(), std::move(handler)});
  mg_set_request_handler(impl_->context, pattern.c_str(), ServePage, &impl_->pages.back());
}

int HttpServer::port() const {
  mg_server_port ports[1] = {};
  return mg_get_server_ports(impl_->context, 1, ports) > 0 ? ports[0].port : 0;
}

}  // namespace bitquake
