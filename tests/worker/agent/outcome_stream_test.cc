#include "worker/agent/outcome_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "tests/worker/agent/scripted_server.h"
#include "tests/worker/data/scratch.h"
#include "worker/agent/channel.h"

namespace bitquake {
namespace {

using grpc::StatusCode;
using ::testing::ElementsAre;

constexpr absl::Duration kPatience = absl::Seconds(60);

class OutcomeStreamTest : public ::testing::Test {
 protected:
  // Reports are told apart by their leases' numbers.
  void Send(int64_t lease) {
    v1::OutcomeReport report;
    report.set_lease_id(lease);
    report.mutable_lease_end();
    outcomes_.Send(report);
  }

  // The leases of the next reports, which come with the sequence numbers that they were sent with.
  static std::vector<int64_t> Leases(IncomingStream& stream, int reports) {
    std::vector<int64_t> leases;
    for (int i = 0; i < reports; ++i) {
      const v1::OutcomeReport report = stream.Next();
      EXPECT_EQ(report.worker_id(), "w");
      EXPECT_EQ(report.sequence() + 100, report.lease_id()) << "the test sends leases from 101 on";
      leases.push_back(report.lease_id());
    }
    return leases;
  }

  ScratchFolder folder_;
  const std::string address_ = "unix:" + folder_.Path("socket");
  std::unique_ptr<ScriptedServer> server_ = std::make_unique<ScriptedServer>(address_);
  std::unique_ptr<v1::WorkerService::Stub> stub_ = ConnectToCoordinator(address_);
  Inbox<bool> unknown_;
  OutcomeStream outcomes_{stub_.get(), "w", [this] { unknown_.Push(true); }};
};

TEST_F(OutcomeStreamTest, WhatIsNotAcknowledgedIsSentAgainInOrderOverANewStream) {
  for (const int64_t lease : {101, 102, 103, 104}) {
    Send(lease);
  }
  const auto first = server_->streams.Pop();
  EXPECT_THAT(Leases(*first, 4), ElementsAre(101, 102, 103, 104));
  first->Acknowledge(3);
  first->Acknowledge(1);
  ASSERT_TRUE(outcomes_.AwaitUnacknowledged(2, kPatience));
  first->End(StatusCode::UNAVAILABLE);

  const auto second = server_->streams.Pop();
  EXPECT_THAT(Leases(*second, 2), ElementsAre(102, 104));
  Send(105);
  EXPECT_THAT(Leases(*second, 1), ElementsAre(105));
  for (const int64_t sequence : {2, 4, 5}) {
    second->Acknowledge(sequence);
  }
  EXPECT_TRUE(outcomes_.AwaitUnacknowledged(0, kPatience));
  EXPECT_TRUE(unknown_.empty());
}

TEST_F(OutcomeStreamTest, AStreamThatTheCoordinatorEndsWellLosesNothingEither) {
  Send(101);
  const auto first = server_->streams.Pop();
  EXPECT_THAT(Leases(*first, 1), ElementsAre(101));
  first->End(StatusCode::OK);
  const auto second = server_->streams.Pop();
  EXPECT_THAT(Leases(*second, 1), ElementsAre(101));
}

TEST_F(OutcomeStreamTest, ReportsAreKeptWhileTheCoordinatorIsAway) {
  Send(101);
  EXPECT_THAT(Leases(*server_->streams.Pop(), 1), ElementsAre(101));
  server_.reset();
  Send(102);
  Send(103);
  EXPECT_FALSE(outcomes_.AwaitUnacknowledged(2, absl::ZeroDuration()));
  server_ = std::make_unique<ScriptedServer>(address_);
  const auto stream = server_->streams.Pop();
  EXPECT_THAT(Leases(*stream, 3), ElementsAre(101, 102, 103));
}

TEST_F(OutcomeStreamTest, ARefusedReportIsDroppedAndTheRestGoesOn) {
  Send(101);
  Send(102);
  const auto first = server_->streams.Pop();
  EXPECT_THAT(Leases(*first, 2), ElementsAre(101, 102));
  first->Acknowledge(1, "no such job");
  ASSERT_TRUE(outcomes_.AwaitUnacknowledged(1, kPatience));
  Send(103);
  EXPECT_THAT(Leases(*first, 1), ElementsAre(103)) << "over the same stream";
  first->End(StatusCode::UNAVAILABLE);
  const auto second = server_->streams.Pop();
  EXPECT_THAT(Leases(*second, 2), ElementsAre(102, 103));
}

TEST_F(OutcomeStreamTest, AnUnknownWorkerIsRegisteredAndItsReportsAreSentAgain) {
  Send(101);
  const auto first = server_->streams.Pop();
  EXPECT_THAT(Leases(*first, 1), ElementsAre(101));
  EXPECT_TRUE(unknown_.empty());
  first->End(StatusCode::NOT_FOUND);
  EXPECT_TRUE(unknown_.Pop());
  const auto second = server_->streams.Pop();
  EXPECT_THAT(Leases(*second, 1), ElementsAre(101));
  EXPECT_TRUE(unknown_.empty()) << "once for each time";
}

TEST_F(OutcomeStreamTest, StopEndsItWhileTheCoordinatorIsSilent) {
  Send(101);
  const auto stream = server_->streams.Pop();
  stream->StaySilent();
  EXPECT_THAT(Leases(*stream, 1), ElementsAre(101));
  absl::Notification stopped;
  std::thread stopper([&] {
    outcomes_.Stop();
    stopped.Notify();
  });
  EXPECT_TRUE(stopped.WaitForNotificationWithTimeout(kPatience));
  server_.reset();  // lets a Stop go on that waits for it
  stopper.join();
  EXPECT_TRUE(outcomes_.AwaitUnacknowledged(0, kPatience)) << "nobody waits for what is dropped";
}

TEST_F(OutcomeStreamTest, StopEndsItWhileTheCoordinatorIsAway) {
  server_.reset();
  Send(101);
  outcomes_.Stop();
}

TEST_F(OutcomeStreamTest, AwaitUnacknowledgedWaitsForSoFew) {
  EXPECT_TRUE(outcomes_.AwaitUnacknowledged(0, absl::ZeroDuration()));
  for (const int64_t lease : {101, 102, 103}) {
    Send(lease);
  }
  EXPECT_TRUE(outcomes_.AwaitUnacknowledged(3, absl::ZeroDuration()));
  EXPECT_FALSE(outcomes_.AwaitUnacknowledged(2, absl::ZeroDuration()));
  Inbox<bool> one_left;
  std::thread waiter(
      [&] { one_left.Push(outcomes_.AwaitUnacknowledged(1, absl::InfiniteDuration())); });
  const auto stream = server_->streams.Pop();
  EXPECT_THAT(Leases(*stream, 3), ElementsAre(101, 102, 103));
  stream->Acknowledge(2);
  EXPECT_TRUE(outcomes_.AwaitUnacknowledged(2, kPatience));
  EXPECT_TRUE(one_left.empty());
  stream->Acknowledge(2);  // said twice, it counts once
  stream->Acknowledge(3);
  EXPECT_TRUE(one_left.Pop());
  EXPECT_FALSE(outcomes_.AwaitUnacknowledged(0, absl::ZeroDuration()));
  waiter.join();
}

}  // namespace
}  // namespace bitquake
