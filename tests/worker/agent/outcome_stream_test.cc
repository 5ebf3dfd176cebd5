#include "worker/agent/outcome_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "tests/worker/agent/scripted_server.h"
#include "tests/worker/data/scratch.h"

namespace bitquake {
namespace {

using grpc::StatusCode;
using ::testing::ElementsAre;

constexpr absl::Duration kPatience = absl::Seconds(60);

class OutcomeStreamTest : public ::testing::Test {
 protected:
  OutcomeStreamTest() { Open(); }

  // As a new process of the worker does.
  void Open(int64_t most_bytes = 1 << 20) {
    outcomes_.reset();
    absl::StatusOr<std::unique_ptr<Spool>> spool = Spool::Open({folder_.Path("spool"), most_bytes});
    ASSERT_TRUE(spool.ok()) << spool.status();
    OutcomeStreamHooks hooks;
    hooks.unknown_worker = [this] { unknown_.Push(true); };
    hooks.lease_ended = [this](int64_t lease) { ended_.Push(lease); };
    outcomes_ = std::make_unique<OutcomeStream>(stub_.get(), *std::move(spool), hooks);
    if (claim_) {
      ASSERT_TRUE(outcomes_->Claim(kOwner).ok());
    }
  }

  // Reports are told apart by their leases' numbers.
  void Send(int64_t lease) {
    v1::OutcomeReport report;
    report.set_lease_id(lease);
    report.mutable_lease_end();
    outcomes_->Send(report);
  }

  void SendBegun(int64_t lease, std::vector<int64_t> jobs) {
    v1::OutcomeReport report;
    report.set_lease_id(lease);
    report.mutable_begun()->mutable_job_ids()->Add(jobs.begin(), jobs.end());
    outcomes_->Send(report);
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
  std::unique_ptr<v1::WorkerService::Stub> stub_ = ConnectTo(address_);
  const SpoolOwner kOwner = {"store", "w", "abacus"};
  bool claim_ = true;
  Inbox<bool> unknown_;
  Inbox<int64_t> ended_;
  std::unique_ptr<OutcomeStream> outcomes_;
};

TEST_F(OutcomeStreamTest, WhatIsNotAcknowledgedIsSentAgainInOrderOverANewStream) {
  for (const int64_t lease : {101, 102, 103, 104}) {
    Send(lease);
  }
  const auto first = server_->streams.Pop();
  EXPECT_THAT(Leases(*first, 4), ElementsAre(101, 102, 103, 104));
  first->Acknowledge(3);
  first->Acknowledge(1);
  ASSERT_TRUE(outcomes_->AwaitUnacknowledged(2, kPatience));
  first->End(StatusCode::UNAVAILABLE);

  const auto second = server_->streams.Pop();
  EXPECT_THAT(Leases(*second, 2), ElementsAre(102, 104));
  Send(105);
  EXPECT_THAT(Leases(*second, 1), ElementsAre(105));
  for (const int64_t sequence : {2, 4, 5}) {
    second->Acknowledge(sequence);
  }
  EXPECT_TRUE(outcomes_->AwaitUnacknowledged(0, kPatience));
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
  EXPECT_FALSE(outcomes_->AwaitUnacknowledged(2, absl::ZeroDuration()));
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
  ASSERT_TRUE(outcomes_->AwaitUnacknowledged(1, kPatience));
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
    outcomes_->Stop();
    stopped.Notify();
  });
  EXPECT_TRUE(stopped.WaitForNotificationWithTimeout(kPatience));
  server_.reset();  // lets a Stop go on that waits for it
  stopper.join();
  EXPECT_TRUE(outcomes_->AwaitUnacknowledged(0, kPatience)) << "nobody waits for what is dropped";
}

TEST_F(OutcomeStreamTest, StopEndsItWhileTheCoordinatorIsAway) {
  server_.reset();
  Send(101);
  outcomes_->Stop();
}

TEST_F(OutcomeStreamTest, AwaitUnacknowledgedWaitsForSoFew) {
  EXPECT_TRUE(outcomes_->AwaitUnacknowledged(0, absl::ZeroDuration()));
  for (const int64_t lease : {101, 102, 103}) {
    Send(lease);
  }
  EXPECT_TRUE(outcomes_->AwaitUnacknowledged(3, absl::ZeroDuration()));
  EXPECT_FALSE(outcomes_->AwaitUnacknowledged(2, absl::ZeroDuration()));
  Inbox<bool> one_left;
  std::thread waiter(
      [&] { one_left.Push(outcomes_->AwaitUnacknowledged(1, absl::InfiniteDuration())); });
  const auto stream = server_->streams.Pop();
  EXPECT_THAT(Leases(*stream, 3), ElementsAre(101, 102, 103));
  stream->Acknowledge(2);
  EXPECT_TRUE(outcomes_->AwaitUnacknowledged(2, kPatience));
  EXPECT_TRUE(one_left.empty());
  stream->Acknowledge(2);  // said twice, it counts once
  stream->Acknowledge(3);
  EXPECT_TRUE(one_left.Pop());
  EXPECT_FALSE(outcomes_->AwaitUnacknowledged(0, absl::ZeroDuration()));
  waiter.join();
}

TEST_F(OutcomeStreamTest, NothingIsSentBeforeTheSpoolIsClaimed) {
  server_.reset();
  Send(101);
  claim_ = false;
  Open();
  server_ = std::make_unique<ScriptedServer>(address_);
  EXPECT_FALSE(outcomes_->AwaitUnacknowledged(0, absl::Milliseconds(500)));
  EXPECT_TRUE(server_->streams.empty());
  ASSERT_TRUE(outcomes_->Claim(kOwner).ok());
  EXPECT_EQ(server_->streams.Pop()->Next().lease_id(), 101);
}

TEST_F(OutcomeStreamTest, WhatAnEarlierProcessLeftIsSentFirstUnderItsNumbers) {
  Send(101);
  Send(102);
  const auto first = server_->streams.Pop();
  EXPECT_THAT(Leases(*first, 2), ElementsAre(101, 102));
  first->Acknowledge(1);
  ASSERT_TRUE(outcomes_->AwaitUnacknowledged(1, kPatience));
  Open();
  EXPECT_THAT(outcomes_->leases(), ElementsAre(102));
  Send(103);
  EXPECT_THAT(Leases(*server_->streams.Pop(), 2), ElementsAre(102, 103));
}

TEST_F(OutcomeStreamTest, LeasesThatAnEarlierProcessLeftOpenEndAsLostOnce) {
  server_.reset();
  Send(101);  // ended
  SendBegun(102, {7});
  for (int restarts = 0; restarts < 2; ++restarts) {
    Open();
  }
  server_ = std::make_unique<ScriptedServer>(address_);
  const auto stream = server_->streams.Pop();
  EXPECT_FALSE(stream->NextOfAll().lease_end().lost());
  EXPECT_THAT(stream->NextOfAll().begun().job_ids(), ElementsAre(7));
  const v1::OutcomeReport end = stream->NextOfAll();
  EXPECT_EQ(end.lease_id(), 102);
  EXPECT_TRUE(end.lease_end().lost());
  stream->Acknowledge(end.sequence());
  ASSERT_TRUE(outcomes_->AwaitUnacknowledged(2, kPatience)) << "there is no other end";
}

TEST_F(OutcomeStreamTest, ReportsForAnotherStoreAreNotSent) {
  server_.reset();
  Send(101);
  claim_ = false;
  Open();
  server_ = std::make_unique<ScriptedServer>(address_);
  EXPECT_EQ(outcomes_->Claim({"another", "w", "abacus"}).code(),
            absl::StatusCode::kFailedPrecondition);
  Send(102);
  outcomes_->Stop();
  EXPECT_TRUE(server_->streams.empty());
}

TEST_F(OutcomeStreamTest, AFullSpoolHasNoRoomUntilSomethingIsAcknowledged) {
  Open(/*most_bytes=*/100);
  EXPECT_TRUE(outcomes_->AwaitRoom());
  for (const int64_t lease : {101, 102, 103}) {
    Send(lease);
  }
  Inbox<bool> room;
  std::thread waiter([&] { room.Push(outcomes_->AwaitRoom()); });
  const auto stream = server_->streams.Pop();
  EXPECT_THAT(Leases(*stream, 3), ElementsAre(101, 102, 103));
  EXPECT_TRUE(room.empty());
  stream->Acknowledge(1);
  stream->Acknowledge(2);
  EXPECT_TRUE(room.Pop());
  waiter.join();
}

TEST_F(OutcomeStreamTest, WhoHurriesDoesNotWaitForRoom) {
  Open(/*most_bytes=*/1);
  Send(101);
  std::thread waiter([&] { EXPECT_FALSE(outcomes_->AwaitRoom()); });
  outcomes_->Hurry();
  waiter.join();
}

TEST_F(OutcomeStreamTest, WhatIsAtWorkIsSaidAgainOverEveryStreamUntilItsLeaseEnds) {
  SendBegun(101, {7, 8});
  auto stream = server_->streams.Pop();
  EXPECT_THAT(stream->NextOfAll().begun().job_ids(), ElementsAre(7, 8));
  stream->Acknowledge(1);
  ASSERT_TRUE(outcomes_->AwaitUnacknowledged(0, kPatience));
  stream->End(StatusCode::UNAVAILABLE);
  stream = server_->streams.Pop();
  EXPECT_THAT(stream->NextOfAll().begun().job_ids(), ElementsAre(7, 8)) << "to another process";
  EXPECT_EQ(outcomes_->unacknowledged(), 0u) << "it was, before";
  stream->Acknowledge(1);
  Send(102);
  EXPECT_TRUE(stream->NextOfAll().has_lease_end());
  stream->Acknowledge(2);
  ASSERT_TRUE(outcomes_->AwaitUnacknowledged(0, kPatience));
  stream->End(StatusCode::UNAVAILABLE);
  Send(103);
  EXPECT_EQ(server_->streams.Pop()->NextOfAll().lease_id(), 103);
}

TEST_F(OutcomeStreamTest, ALeaseThatWasTakenAwayIsTold) {
  Send(101);
  const auto stream = server_->streams.Pop();
  stream->Next();
  stream->TellEnded(77);
  EXPECT_EQ(ended_.Pop(), 77);
  EXPECT_EQ(outcomes_->unacknowledged(), 1u);
}

}  // namespace
}  // namespace bitquake
