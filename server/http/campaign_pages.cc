#include "server/http/campaign_pages.h"

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/notification.h"
#include "common/base/process.h"
#include "common/report/page/embedded.h"
#include "common/report/page/html.h"

namespace bitquake {
namespace {

constexpr char kPrefix[] = "/campaigns/";
constexpr char kEvents[] = "/events";
constexpr char kHtml[] = "text/html; charset=utf-8";
constexpr int kListed = 100;                          // campaigns on a page
constexpr size_t kReportsKept = 4;                    // that nobody follows
constexpr absl::Duration kAlive = absl::Seconds(15);  // between two signs of life
constexpr absl::Duration kAnswerTime = absl::Seconds(10);

// "/campaigns/ID", as a page's script asks for it.
std::string PathOf(const std::string& campaign) { return absl::StrCat(kPrefix, campaign); }

void SendError(const absl::Status& status, HttpReply& reply) {
  const int code = absl::IsNotFound(status) ? 404 : absl::IsUnavailable(status) ? 503 : 500;
  reply.Send(code, "text/plain; charset=utf-8", absl::StrCat(status.message(), "\n"),
             code == 503 ? "Retry-After: 10\r\n" : "");
}

std::string ListPage(const Coordinator::Page& page) {
  std::string html =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
      "http-equiv=\"refresh\" content=\"10\">\n<meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" "
      "content=\"light dark\">\n<title>Campaigns - Bitquake</title>\n<style>\n";
  absl::StrAppend(&html, PageStyle(), "</style>\n</head>\n<body>\n<header><h1>Campaigns</h1>",
                  "</header>\n<main><div class=\"table\"><table><thead><tr><th>campaign</th><th>"
                  "state</th><th>jobs</th><th>images</th><th>submitted</th></tr></thead><tbody>\n");
  for (const CampaignSnapshot& campaign : page.campaigns) {
    absl::StrAppend(
        &html, "<tr><td><a href=\"", EscapeHtml(PathOf(campaign.id)), "\">",
        EscapeHtml(campaign.id), "</a></td><td>", EscapeHtml(campaign.state),
        "</td><td class=\"number\">", campaign.jobs_done, " of ", campaign.jobs_expected,
        "</td><td class=\"number\">", campaign.images_done, "</td><td>",
        absl::FormatTime("%Y-%m-%d %H:%M UTC", absl::FromUnixMillis(campaign.submitted_unix_ms),
                         absl::UTCTimeZone()),
        "</td></tr>\n");
  }
  html += "</tbody></table></div>\n";
  if (page.campaigns.empty()) {
    html += "<p class=\"note\">None yet: <code>bitquake submit campaign.yaml</code></p>\n";
  }
  if (page.next_before > 0) {
    absl::StrAppend(&html, "<p><a href=\"/campaigns?before=", page.next_before,
                    "\">older ones</a></p>\n");
  }
  return html + "</main>\n</body>\n</html>\n";
}

}  // namespace

CampaignPages::CampaignPages(Coordinator* coordinator, std::string database, const Clock* clock)
    : coordinator_(coordinator), database_(std::move(database)), clock_(clock) {}

void CampaignPages::AddTo(HttpServer& server) {
  server.Handle("/campaigns$", [this](const HttpRequest& request, HttpReply& reply) {
    ServeList(request, reply);
  });
  server.Handle("/campaigns/**", [this](const HttpRequest& request, HttpReply& reply) {
    ServeCampaign(request, reply);
  });
}

void CampaignPages::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  for (const auto& [campaign, report] : reports_) {
    report->Stop();
  }
}

void CampaignPages::ServeList(const HttpRequest& request, HttpReply& reply) {
  struct Answer {
    absl::Notification arrived;
    absl::StatusOr<Coordinator::Page> page;
  };
  int64_t before = 0;
  const std::string text = QueryValue(request.query, "before");
  if (!text.empty() && !absl::SimpleAtoi(text, &before)) {
    return reply.Send(400, "text/plain", "before must be a number\n");
  }
  const auto answer = std::make_shared<Answer>();  // may come after nobody waits any more
  coordinator_->ListCampaigns(before, kListed, [answer](absl::StatusOr<Coordinator::Page> page) {
    answer->page = std::move(page);
    answer->arrived.Notify();
  });
  if (!answer->arrived.WaitForNotificationWithTimeout(kAnswerTime)) {
    return SendError(absl::UnavailableError("the coordinator is busy; try again"), reply);
  }
  if (!answer->page.ok()) {
    return SendError(answer->page.status(), reply);
  }
  reply.Send(200, kHtml, ListPage(*answer->page),
             "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n");
}

void CampaignPages::ServeCampaign(const HttpRequest& request, HttpReply& reply) {
  absl::string_view campaign = request.path;
  absl::ConsumePrefix(&campaign, kPrefix);
  if (absl::ConsumeSuffix(&campaign, kEvents)) {
    return ServeEvents(std::string(campaign), request, reply);
  }
  std::shared_ptr<LiveReport> report;
  {
    absl::MutexLock lock(&mutex_);
    report = ReportOf(std::string(campaign));
  }
  const absl::StatusOr<std::string> page =
      report->Page(absl::StrCat(PathOf(std::string(campaign)), kEvents));
  if (!page.ok()) {
    return SendError(page.status(), reply);
  }
  reply.Send(200, kHtml, *page);
}

std::shared_ptr<LiveReport> CampaignPages::ReportOf(const std::string& campaign) {
  std::shared_ptr<LiveReport>& report = reports_[campaign];
  if (report == nullptr) {
    report = std::make_shared<LiveReport>(coordinator_, database_, campaign, clock_, RandomHex());
    if (stopped_) {
      report->Stop();
    }
  }
  std::shared_ptr<LiveReport> wanted = report;
  for (auto at = reports_.begin(); at != reports_.end() && reports_.size() > kReportsKept;) {
    const bool idle = at->second != wanted && at->second->listeners() == 0;
    at = idle ? reports_.erase(at) : std::next(at);
  }
  return wanted;
}

std::unique_ptr<LiveReport::Listener> CampaignPages::Listen(const std::string& campaign) {
  absl::MutexLock lock(&mutex_);
  if (stopped_ || listeners_ >= kMostListeners) {
    return nullptr;
  }
  ++listeners_;
  return std::make_unique<LiveReport::Listener>(ReportOf(campaign));
}

void CampaignPages::ServeEvents(const std::string& campaign, const HttpRequest& request,
                                HttpReply& reply) {
  std::unique_ptr<LiveReport::Listener> listener = Listen(campaign);
  if (listener == nullptr) {
    return SendError(absl::UnavailableError("too many follow campaigns; try again"), reply);
  }
  const absl::Cleanup leave = [&] {
    listener.reset();
    absl::MutexLock lock(&mutex_);
    --listeners_;
  };
  // A browser that connects again says what it had last.
  std::string version =
      request.last_event.empty() ? QueryValue(request.query, "since") : request.last_event;
  bool started = false;
  for (bool reading = true; reading;) {
    const absl::StatusOr<ReportChange> change =
        listener->Next(version, started ? kAlive : absl::ZeroDuration());
    if (!change.ok()) {
      // Once it has begun it just ends: the browser connects again, and is told why.
      return started ? void() : SendError(change.status(), reply);
    }
    if (!started) {
      reply.Start("text/event-stream");
      started = true;
    }
    switch (change->kind) {
      case ReportChange::Kind::kNone:
        reading = reply.Write(": still here\n\n");
        break;
      case ReportChange::Kind::kChange:
        version = change->version;
        reading = reply.Write(
            absl::StrCat("event: change\nid: ", version, "\ndata: ", change->json, "\n\n"));
        break;
      case ReportChange::Kind::kReload:
        reply.Write("event: reload\ndata:\n\n");
        return;
      case ReportChange::Kind::kEnd:
        reply.Write("event: end\ndata:\n\n");
        return;
    }
  }
}

}  // namespace bitquake
