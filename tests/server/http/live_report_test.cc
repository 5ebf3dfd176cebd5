// A report that people follow: computed once, told as changes, and with an end.
#include "server/http/live_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "tests/server/cluster.h"

namespace bitquake {
namespace {

using testing::HasSubstr;
using Kind = ReportChange::Kind;

constexpr absl::Duration kPatience = absl::Minutes(1);
constexpr absl::Duration kBetweenNotices = absl::Milliseconds(250);  // of the coordinator

class LiveReportTest : public testing::Test {
 protected:
  LiveReportTest() : worker_(&coordinator_, "w"), campaign_(coordinator_.Submit()) {
    report_ = std::make_shared<LiveReport>(coordinator_.get(), coordinator_.path(), campaign_,
                                           &clock_, "epoch");
  }
  ~LiveReportTest() override { coordinator_->Stop(); }

  std::string Page() {
    const absl::StatusOr<std::string> page = report_->Page("/events");
    EXPECT_TRUE(page.ok()) << page.status();
    return page.value_or("");
  }

  // What follows a version until the campaign's cells are all there, applied one after the other.
  std::string Follow(LiveReport::Listener& listener, std::string version, Kind* last) {
    std::string json;
    for (;;) {
      const absl::StatusOr<ReportChange> change = listener.Next(version, kPatience);
      EXPECT_TRUE(change.ok()) << change.status();
      *last = change.ok() ? change->kind : Kind::kNone;
      if (*last != Kind::kChange) {
        return json;
      }
      version = change->version;
      json = change->json;
    }
  }

  TestCoordinator coordinator_;
  TestWorker worker_;
  const std::string campaign_;
  SystemClock clock_;
  std::shared_ptr<LiveReport> report_;
};

TEST_F(LiveReportTest, IsAPageThatKnowsItsVersionAndWhereChangesCome) {
  EXPECT_THAT(Page(), HasSubstr("<body data-events=\"/events\" data-version=\"epoch-0\">"));
  LiveReport missing(coordinator_.get(), coordinator_.path(), "none", &clock_, "epoch");
  EXPECT_TRUE(absl::IsNotFound(missing.Page("/events").status()));
}

TEST_F(LiveReportTest, TellsChangesUntilTheCampaignHasEnded) {
  Page();
  LiveReport::Listener listener(report_);
  EXPECT_EQ(listener.Next("epoch-0", absl::ZeroDuration())->kind, Kind::kNone);
  std::thread work([this] {
    worker_.WorkToEnd();
    coordinator_.Advance(kBetweenNotices);
  });
  Kind last = Kind::kNone;
  const std::string json = Follow(listener, "epoch-0", &last);
  work.join();
  EXPECT_EQ(last, Kind::kEnd);
  EXPECT_EQ(nlohmann::json::parse(json)["progress"]["state"], "done");
}

TEST_F(LiveReportTest, TellsAllListenersTheSame) {
  Page();
  LiveReport::Listener one(report_);
  LiveReport::Listener other(report_);
  EXPECT_EQ(report_->listeners(), 2);
  ReportChange first;
  ReportChange second;
  std::thread waits([&] { first = one.Next("epoch-0", kPatience).value_or(ReportChange{}); });
  worker_.WorkToEnd();
  coordinator_.Advance(kBetweenNotices);
  second = other.Next("epoch-0", kPatience).value_or(ReportChange{});
  waits.join();
  EXPECT_EQ(first.kind, Kind::kChange);
  EXPECT_EQ(first.version, second.version);
  EXPECT_EQ(first.json, second.json);
}

TEST_F(LiveReportTest, SendsWhoeverHasAnotherVersionBackToThePage) {
  Page();
  LiveReport::Listener listener(report_);
  for (const std::string version : {"another-0", "epoch-7", "epoch--1", "", "epoch-x"}) {
    EXPECT_EQ(listener.Next(version, kPatience)->kind, Kind::kReload) << version;
  }
}

TEST_F(LiveReportTest, StopsAllWhoWait) {
  Page();
  LiveReport::Listener listener(report_);
  absl::Status ended;
  std::thread waits([&] { ended = listener.Next("epoch-0", kPatience).status(); });
  report_->Stop();
  waits.join();
  EXPECT_TRUE(absl::IsUnavailable(ended)) << ended;
}

}  // namespace
}  // namespace bitquake
