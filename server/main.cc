// bitquake-server: the coordinator, one process, one SQLite file.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/build_info.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/process.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/http/http_server.h"
#include "server/http/campaign_pages.h"
#include "server/http/coordinator_metrics.h"
#include "server/scheduler/coordinator.h"
#include "server/service/address.h"
#include "server/service/grpc_server.h"
#include "server/store/backup.h"
#include "server/store/check.h"
#include "server/store/file_system.h"
#include "server/store/open_store.h"
#include "spdlog/spdlog.h"

namespace bitquake {
namespace {

struct Flags {
  std::string database = "bitquake.db";
  std::string listen = "127.0.0.1:50551";
  std::string http;
  std::string log_file;
  TlsOptions tls;
  bool insecure = false;
  double lease_seconds = 60;
  double lease_work_seconds = 20;
  int64_t max_lease_jobs = SchedulerOptions().max_lease_jobs;
  int ready_fd = -1;
  std::string backup;
  std::string restore;
  bool check = false;
};

// One server a database, by whatever path: the lock is held as long as the process lives.
absl::StatusOr<int> LockDatabase(const std::string& database) {
  std::error_code error;
  const std::string path = std::filesystem::weakly_canonical(database, error).string() + ".lock";
  if (error) {
    return absl::UnavailableError(absl::StrCat(database, ": ", error.message()));
  }
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) {
    return ErrnoStatus(path);
  }
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    close(fd);
    return absl::FailedPreconditionError(
        absl::StrCat(database,
                     ": another bitquake-server has this database open; stop it, or name "
                     "another file with --db"));
  }
  return fd;
}

// --backup, --restore and --check do one thing with the database, and end.
absl::Status BackUp(const Flags& flags) {
  RETURN_IF_ERROR(Backup(flags.database, flags.backup));
  std::cout << flags.backup << ": a backup of " << flags.database << "\n";
  return absl::OkStatus();
}

absl::Status RestoreTo(const Flags& flags) {
  ASSIGN_OR_RETURN(const int lock, LockDatabase(flags.database));
  absl::Cleanup unlock = [lock] { close(lock); };
  RETURN_IF_ERROR(CheckLocalDisk(flags.database));
  RETURN_IF_ERROR(Restore(flags.restore, flags.database));
  std::cout << flags.database << ": restored from " << flags.restore << "\n";
  return absl::OkStatus();
}

absl::Status Check(const Flags& flags) {
  ASSIGN_OR_RETURN(Database db, Database::Open(flags.database, Database::Mode::kReadOnly));
  ASSIGN_OR_RETURN(const std::vector<std::string> findings, CheckStore(db));
  for (const std::string& finding : findings) {
    std::cout << flags.database << ": " << finding << "\n";
  }
  if (!findings.empty()) {
    return absl::DataLossError(absl::StrCat(flags.database, ": is damaged", kRestoreRemedy));
  }
  std::cout << flags.database << ": ok\n";
  return absl::OkStatus();
}

absl::Status Serve(const Flags& flags) {
  RETURN_IF_ERROR(CheckListenFlags(flags.listen, flags.tls, flags.insecure));
  if (!flags.insecure && !flags.http.empty()) {
    RETURN_IF_ERROR(CheckPlainTextAddress(flags.http));
  }
  RETURN_IF_ERROR(CheckSocketFolder(flags.listen));
  RETURN_IF_ERROR(CheckNobodyListens(flags.listen));
  ASSIGN_OR_RETURN(const int lock, LockDatabase(flags.database));
  absl::Cleanup unlock = [lock] { close(lock); };
  SystemClock clock;
  ASSIGN_OR_RETURN(Database db, OpenStore(flags.database, clock));

  SchedulerOptions options;
  options.lease = absl::Seconds(flags.lease_seconds);
  options.lease_work = absl::Seconds(flags.lease_work_seconds);
  options.max_lease_jobs = flags.max_lease_jobs;
  ASSIGN_OR_RETURN(const std::unique_ptr<Coordinator> coordinator,
                   Coordinator::Start(std::move(db), &clock, options));
  ASSIGN_OR_RETURN(const std::unique_ptr<GrpcServer> grpc,
                   GrpcServer::Start({flags.listen, flags.database, flags.tls}, coordinator.get()));
  CampaignPages pages(coordinator.get(), flags.database, &clock);
  std::unique_ptr<HttpServer> http;
  if (!flags.http.empty()) {
    HttpOptions http_options;
    http_options.address = flags.http;
    http_options.ready = [&] { return coordinator->ready(); };
    http_options.allowed = [&](absl::string_view authorization) {
      return grpc->CheckPage(authorization);
    };
    http_options.streams = CampaignPages::kMostListeners;
    CoordinatorSources sources;
    sources.coordinator = coordinator.get();
    sources.database = flags.database;
    sources.rpcs = [&] { return grpc->latencies().Collect(); };
    ASSIGN_OR_RETURN(
        http,
        HttpServer::Start(http_options, std::make_shared<CoordinatorMetrics>(std::move(sources))));
    pages.AddTo(*http);
    spdlog::info("campaigns and metrics on port {}", http->port());
  }
  absl::Cleanup end_streams = [&] { pages.Stop(); };
  spdlog::info("version {}, database {}, listening on {} (port {})", kVersion, flags.database,
               flags.listen, grpc->port());
  if (flags.ready_fd >= 0) {
    RETURN_IF_ERROR(NotifyReady(flags.ready_fd, absl::StrCat(grpc->port())));
  }
  const int signal = WaitForTermination();
  spdlog::info("signal {}: stopping", signal);
  std::move(end_streams).Invoke();
  http.reset();
  coordinator->Stop();
  grpc->Stop();
  return absl::OkStatus();
}

}  // namespace
}  // namespace bitquake

int main(int argc, char** argv) {
  bitquake::KeepOpenSsl();
  bitquake::BlockTerminationSignals();
  bitquake::RaiseFileLimit();  // each worker has a connection
  // A library built without NDEBUG, as Debian's is, looks for cycles at every lock that gRPC takes.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  bitquake::Flags flags;
  CLI::App app("The coordinator of Bitquake: keeps campaigns, hands out jobs, gathers outcomes.");
  app.set_version_flag("--version", bitquake::kVersion);
  app.add_option("--db", flags.database, "SQLite file; created if it does not exist")
      ->capture_default_str();
  app.add_option("--listen", flags.listen, "gRPC address: HOST:PORT or unix:PATH")
      ->capture_default_str();
  app.add_option("--http", flags.http,
                 "HOST:PORT of /metrics, /healthz, /readyz and /campaigns; none by default");
  app.add_option("--log", flags.log_file, "log file; stderr by default");
  app.add_option("--tls-cert", flags.tls.cert, "use TLS; the server's certificate, PEM");
  app.add_option("--tls-key", flags.tls.key, "private key of --tls-cert");
  app.add_option("--tls-client-ca", flags.tls.client_ca,
                 "let in clients with a certificate of this CA, which names their role");
  app.add_option("--tls-revoked", flags.tls.revoked,
                 "file of SHA-256 fingerprints, one a line: certificates no longer let in");
  app.add_option("--tokens", flags.tls.tokens,
                 "let in clients with a token; lines of ROLE NAME EXPIRES SHA256");
  app.add_flag("--insecure", flags.insecure,
               "allow plain text on addresses that other machines can reach");
  app.add_option("--lease-seconds", flags.lease_seconds,
                 "a lease that is not renewed for so long ends")
      ->check(CLI::Range(0.1, 86400.0))
      ->capture_default_str();
  app.add_option("--lease-work-seconds", flags.lease_work_seconds, "work that a lease should hold")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
  app.add_option("--max-lease-jobs", flags.max_lease_jobs, "most jobs in a lease")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--ready-fd", flags.ready_fd,
                 "write the bound port to this file descriptor when serving, and close it");
  CLI::Option* backup = app.add_option(
      "--backup", flags.backup,
      "copy the database to this new file, also while a server works on it, and end");
  CLI::Option* restore = app.add_option("--restore", flags.restore,
                                        "make a new database of this backup at --db, and end")
                             ->excludes(backup);
  app.add_flag("--check", flags.check,
               "look at every row of the database, also while a server works on it, and end; exit "
               "code 1 if one is not as it was written")
      ->excludes(backup)
      ->excludes(restore);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  bitquake::StartLogging("bitquake-server", flags.log_file);
  const absl::Status status = flags.check              ? bitquake::Check(flags)
                              : !flags.backup.empty()  ? bitquake::BackUp(flags)
                              : !flags.restore.empty() ? bitquake::RestoreTo(flags)
                                                       : bitquake::Serve(flags);
  if (!status.ok()) {
    std::cerr << "bitquake-server: " << status.message() << "\n";
    return 1;
  }
  return 0;
}
