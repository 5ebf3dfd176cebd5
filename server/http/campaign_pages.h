// What people see of campaigns in a browser, read-only:
//
//   /campaigns              the list
//   /campaigns/ID           a campaign's report (common/report/page/page.h)
//   /campaigns/ID/events    what changes in it, as Server-Sent Events
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"
#include "common/http/http_server.h"
#include "server/http/live_report.h"
#include "server/scheduler/coordinator.h"

namespace bitquake {

// Thread-safe.
class CampaignPages {
 public:
  // Who follows a campaign keeps a thread of the HTTP server; more of them are turned away with
  // 503, and their pages try again.
  static constexpr int kMostListeners = 32;

  // `coordinator` and `clock` must outlive it.
  CampaignPages(Coordinator* coordinator, std::string database, const Clock* clock);

  // `server`, with kMostListeners streams, must be destroyed before this, and after Stop.
  void AddTo(HttpServer& server);
  // Ends all streams, now and in future.
  void Stop();

 private:
  void ServeList(const HttpRequest& request, HttpReply& reply);
  void ServeCampaign(const HttpRequest& request, HttpReply& reply);
  void ServeEvents(const std::string& campaign, const HttpRequest& request, HttpReply& reply);
  // Null if there are too many, or if stopped.
  std::unique_ptr<LiveReport::Listener> Listen(const std::string& campaign);
  std::shared_ptr<LiveReport> ReportOf(const std::string& campaign)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Coordinator* const coordinator_;
  const std::string database_;
  const Clock* const clock_;

  absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  int listeners_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, std::shared_ptr<LiveReport>> reports_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bitquake
