#include "worker/agent/agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "common/base/build_info.h"
#include "tests/worker/agent/bench.h"
#include "tests/worker/agent/scripted_server.h"

namespace bitquake {
namespace {

using grpc::StatusCode;
using ::testing::ElementsAre;

class AgentTest : public BenchTest {
 protected:
  AgentTest() {
    script_.run = [this](const std::function<bool()>& cancelled) {
      began_.Push(true);
      chunk_.Pop();
      const bool left = cancelled();
      left_.Push(left);
      return left ? absl::CancelledError("cancelled") : absl::OkStatus();
    };
  }
  ~AgentTest() override {
    server_.reset();
    if (runner_.joinable()) {
      End();
    }
  }

  // Whatever it does.
  void End() {
    agent_->HandBack();
    chunk_.Push(true);
    runner_.join();
    agent_.reset();
  }

  void Start(absl::Duration grace = absl::ZeroDuration()) {
    AgentOptions options;
    options.worker_id = "w";
    options.device_kind = "abacus";
    options.grace = grace;
    auto spool = Spool::Open({folder_.Path("spool"), spool_limit_});
    ASSERT_TRUE(spool.ok()) << spool.status();
    agent_ = std::make_unique<Agent>(stub_.get(), &workbench_, *std::move(spool), options);
    runner_ = std::thread([this] { ended_.Push(agent_->Run()); });
  }

  // With the usual time no heartbeat comes during a test.
  v1::RegisterRequest Registered(double lease_seconds = 600) {
    const auto call = server_->registrations.Pop();
    v1::RegisterResponse response;
    response.set_lease_seconds(lease_seconds);
    response.set_store(store_);
    call->Reply(response);
    return call->request();
  }

  v1::LeaseJobsRequest Leased(const v1::Lease& lease) {
    const auto call = server_->leases.Pop();
    v1::LeaseJobsResponse response;
    *response.mutable_lease() = lease;
    call->Reply(response);
    return call->request();
  }

  // The next heartbeat that holds a lease.
  std::unique_ptr<HeartbeatCall> Holding() {
    for (;;) {
      auto call = server_->heartbeats.Pop(absl::Seconds(10));
      if (call->request().lease_ids_size() > 0) {
        return call;
      }
      call->Reply();
    }
  }

  static void ReplyEnded(HeartbeatCall& call, int64_t lease) {
    v1::HeartbeatResponse response;
    response.set_desired_state(v1::HeartbeatResponse::DESIRED_STATE_RUN);
    response.add_ended_lease_ids(lease);
    call.Reply(response);
  }

  // Of one trial; the evaluator works on it until the test gives it a chunk.
  static v1::Lease TrialLease() {
    v1::Lease lease = MakeLease();
    AddCell(lease, 40, 0, "model", 0);
    AddTrial(lease, 20, 40, 0, 0);
    return lease;
  }

  static void ExpectOfLease(const v1::OutcomeReport& report) {
    EXPECT_EQ(report.worker_id(), "w");
    EXPECT_EQ(report.lease_id(), 77);
    EXPECT_EQ(report.campaign_id(), "c1");
  }

  std::string store_ = "store";
  int64_t spool_limit_ = SpoolOptions().most_bytes;
  const std::string address_ = "unix:" + folder_.Path("socket");
  std::unique_ptr<ScriptedServer> server_ = std::make_unique<ScriptedServer>(address_);
  std::unique_ptr<v1::WorkerService::Stub> stub_ = ConnectTo(address_);
  Inbox<bool> began_;
  Inbox<bool> chunk_;
  Inbox<bool> left_;  // whether the evaluator was told to leave its lease
  Inbox<absl::Status> ended_;
  std::unique_ptr<Agent> agent_;
  std::thread runner_;
};

TEST_F(AgentTest, RegistersLeasesReportsAndLeasesAgain) {
  Start();
  const v1::RegisterRequest registered = Registered();
  EXPECT_EQ(registered.protocol_version(), kProtocolVersion);
  EXPECT_EQ(registered.worker_id(), "w");
  EXPECT_EQ(registered.device_kind(), "abacus");
  EXPECT_EQ(registered.version(), kVersion);
  EXPECT_NE(registered.instance(), "");
  EXPECT_NE(registered.host(), "");
  const v1::LeaseJobsRequest leased = Leased(ProbeLease());
  EXPECT_EQ(leased.worker_id(), "w");
  EXPECT_EQ(leased.wait_seconds(), 30);
  const auto stream = server_->streams.Pop();
  const v1::OutcomeReport probe = stream->Next();
  ExpectOfLease(probe);
  EXPECT_EQ(probe.probe().job_id(), 5);
  const v1::OutcomeReport end = stream->Next();
  ExpectOfLease(end);
  EXPECT_TRUE(end.has_lease_end());
  EXPECT_LT(probe.sequence(), end.sequence());
  EXPECT_EQ(server_->leases.Pop()->request().request_number(), leased.request_number() + 1);
}

TEST_F(AgentTest, ALeaseWhoseReplyWasLostIsAskedForUnderTheSameNumber) {
  Start();
  Registered();
  auto call = server_->leases.Pop();
  const int64_t number = call->request().request_number();
  call->Fail(StatusCode::UNAVAILABLE);
  call = server_->leases.Pop();
  EXPECT_EQ(call->request().request_number(), number);
  call->Reply();  // no work
  EXPECT_EQ(server_->leases.Pop()->request().request_number(), number + 1);
  EXPECT_TRUE(server_->registrations.empty()) << "it is still registered";
}

TEST_F(AgentTest, RegistersWhenTheCoordinatorComes) {
  server_.reset();
  Start();
  server_ = std::make_unique<ScriptedServer>(address_);
  Registered();
  EXPECT_EQ(server_->leases.Pop()->request().worker_id(), "w");
}

TEST_F(AgentTest, ALeaseThatHasEndedIsLeft) {
  Start();
  Registered(/*lease_seconds=*/0.03);
  Leased(TrialLease());
  began_.Pop();
  auto heartbeat = Holding();
  EXPECT_EQ(heartbeat->request().worker_id(), "w");
  EXPECT_THAT(heartbeat->request().lease_ids(), ElementsAre(77));
  ReplyEnded(*heartbeat, 77);
  heartbeat = Holding();  // so the reply to the one before has been read
  heartbeat->Reply();
  chunk_.Push(true);
  EXPECT_TRUE(left_.Pop());
  Leased(ProbeLease());
  EXPECT_TRUE(server_->streams.Pop()->Next().has_probe()) << "nothing is reported of the first";
}

TEST_F(AgentTest, TheEndOfAnotherLeaseChangesNothing) {
  Start();
  Registered(/*lease_seconds=*/0.03);
  Leased(TrialLease());
  began_.Pop();
  auto heartbeat = Holding();
  ReplyEnded(*heartbeat, 76);
  heartbeat = Holding();
  heartbeat->Reply();
  chunk_.Push(true);
  EXPECT_FALSE(left_.Pop());
  const auto stream = server_->streams.Pop();
  EXPECT_EQ(stream->Next().trial().job_id(), 20);
  EXPECT_TRUE(stream->Next().has_lease_end());
}

TEST_F(AgentTest, AQuarantinedWorkerEnds) {
  Start();
  Registered(/*lease_seconds=*/0.03);
  const auto poll = server_->leases.Pop();  // is not answered
  v1::HeartbeatResponse response;
  response.set_desired_state(v1::HeartbeatResponse::DESIRED_STATE_DRAIN);
  server_->heartbeats.Pop(absl::Seconds(10))->Reply(response);
  EXPECT_EQ(ended_.Pop().code(), absl::StatusCode::kPermissionDenied);
}

// Acknowledges what comes until a lease's end, which it returns unacknowledged.
v1::OutcomeReport AcknowledgeToEnd(IncomingStream& stream, std::vector<int64_t>* trials = nullptr) {
  for (;;) {
    const v1::OutcomeReport report = stream.NextOfAll();
    if (report.has_lease_end()) {
      return report;
    }
    if (report.has_trial() && trials != nullptr) {
      trials->push_back(report.trial().job_id());
    }
    stream.Acknowledge(report.sequence());
  }
}

TEST_F(AgentTest, HandBackLeavesTheJobsAtWorkAndWaitsForTheAcknowledgement) {
  Start(/*grace=*/absl::Seconds(60));
  Registered();
  Leased(TrialLease());
  began_.Pop();
  agent_->HandBack();
  const auto stream = server_->streams.Pop();
  const v1::OutcomeReport end = AcknowledgeToEnd(*stream);
  ExpectOfLease(end);
  EXPECT_FALSE(end.lease_end().lost());
  EXPECT_TRUE(left_.empty()) << "it is handed back before the chunk has ended";
  chunk_.Push(true);
  EXPECT_TRUE(left_.Pop());
  EXPECT_TRUE(ended_.empty());
  stream->Acknowledge(end.sequence());
  EXPECT_TRUE(ended_.Pop().ok());
  EXPECT_TRUE(server_->leases.empty());
}

TEST_F(AgentTest, DrainEndsTheJobsAtWorkAndHandsBackTheOthers) {
  Start(/*grace=*/absl::Seconds(60));
  Registered();
  v1::Lease lease = TrialLease();
  AddTrial(lease, 21, 40, 0, 1);  // of another fold
  Leased(lease);
  began_.Pop();
  agent_->Drain();
  chunk_.Push(true);
  EXPECT_FALSE(left_.Pop());
  const auto stream = server_->streams.Pop();
  std::vector<int64_t> trials;
  const v1::OutcomeReport end = AcknowledgeToEnd(*stream, &trials);
  EXPECT_THAT(trials, ElementsAre(20));
  stream->Acknowledge(end.sequence());
  EXPECT_TRUE(ended_.Pop().ok());
  EXPECT_TRUE(began_.empty()) << "the other job was not begun";
}

TEST_F(AgentTest, DrainEndsInItsGraceTimeThoughNobodyAcknowledges) {
  Start(/*grace=*/absl::Milliseconds(200));
  Registered();
  Leased(ProbeLease());
  const auto stream = server_->streams.Pop();
  stream->Next();
  agent_->Drain();
  EXPECT_TRUE(ended_.Pop().ok());
  EXPECT_GT(agent_->outcomes().unacknowledged(), 0u);
}

TEST_F(AgentTest, ALeaseIsRenewedUntilItsEndIsAcknowledged) {
  Start();
  Registered(/*lease_seconds=*/0.03);
  Leased(ProbeLease());
  const auto poll = server_->leases.Pop();  // it is done with the lease
  for (int i = 0; i < 3; ++i) {
    const auto heartbeat = Holding();
    EXPECT_THAT(heartbeat->request().lease_ids(), ElementsAre(77));
    heartbeat->Reply();
  }
  const auto stream = server_->streams.Pop();
  stream->Acknowledge(AcknowledgeToEnd(*stream).sequence());
  for (;;) {
    const auto heartbeat = server_->heartbeats.Pop();
    heartbeat->Reply();
    if (heartbeat->request().lease_ids().empty()) {
      break;
    }
  }
}

TEST_F(AgentTest, ALeaseThatIsTakenAwayIsLeftWithoutAHeartbeat) {
  Start();
  Registered();
  Leased(TrialLease());
  const auto stream = server_->streams.Pop();
  began_.Pop();
  stream->TellEnded(76);  // of another nobody knows
  stream->TellEnded(77);
  for (int i = 0; i < 2; ++i) {
    stream->Acknowledge(stream->NextOfAll().sequence());
  }
  while (agent_->outcomes().unacknowledged() > 0) {  // else it has read all that it was told
    std::this_thread::yield();
  }
  chunk_.Push(true);
  EXPECT_TRUE(left_.Pop());
  EXPECT_TRUE(server_->heartbeats.empty());
}

TEST_F(AgentTest, AnotherProcessDeliversWhatTheFirstComputedAndKeepsItsLeaseUntilThen) {
  Start();
  Registered();
  Leased(ProbeLease());
  server_->leases.Pop();  // it is done with the lease, and nothing is acknowledged
  server_.reset();
  End();
  server_ = std::make_unique<ScriptedServer>(address_);
  Start();
  const v1::RegisterRequest registered = Registered();
  EXPECT_THAT(registered.lease_ids(), ElementsAre(77));
  const auto stream = server_->streams.Pop();
  EXPECT_TRUE(stream->Next().has_probe());
  EXPECT_FALSE(stream->Next().lease_end().lost());
}

TEST_F(AgentTest, ASpoolForAnotherStoreEndsIt) {
  Start();
  Registered();
  Leased(ProbeLease());
  server_->leases.Pop();
  server_.reset();
  End();
  EXPECT_TRUE(ended_.Pop().ok());
  server_ = std::make_unique<ScriptedServer>(address_);
  Start();
  store_ = "another";
  Registered();
  const absl::Status ended = ended_.Pop();
  EXPECT_EQ(ended.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(ended.message()), ::testing::HasSubstr("another"));
  EXPECT_TRUE(server_->streams.empty());
}

// While it waits for room in its spool, which only the store of before would make.
TEST_F(AgentTest, AFullSpoolForAnotherStoreEndsItAtOnce) {
  spool_limit_ = 1;
  Start(/*grace=*/absl::Seconds(60));
  Registered();
  Leased(ProbeLease());
  const auto stream = server_->streams.Pop();
  AcknowledgeToEnd(*stream);
  store_ = "another";
  stream->End(StatusCode::NOT_FOUND);
  Registered();
  EXPECT_EQ(ended_.Pop(absl::Seconds(10)).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(server_->leases.empty());
}

TEST_F(AgentTest, ALostDeviceEndsItWithTheLeaseLost) {
  script_.run = [](const auto&) { return absl::AbortedError("the device failed: unspecified"); };
  Start(/*grace=*/absl::Seconds(60));
  Registered();
  Leased(TrialLease());
  const auto stream = server_->streams.Pop();
  const v1::OutcomeReport end = AcknowledgeToEnd(*stream);
  ExpectOfLease(end);
  EXPECT_TRUE(end.lease_end().lost());
  stream->Acknowledge(end.sequence());
  EXPECT_EQ(ended_.Pop().code(), absl::StatusCode::kAborted);
}

TEST_F(AgentTest, DrainEndsALongPoll) {
  Start();
  Registered();
  const auto poll = server_->leases.Pop();
  agent_->Drain();
  EXPECT_TRUE(ended_.Pop(absl::Seconds(20)).ok());
}

TEST_F(AgentTest, DrainHandsBackALeaseWhoseGrantCrossedIt) {
  Start(/*grace=*/absl::Seconds(60));
  Registered();
  const auto poll = server_->leases.Pop();
  agent_->Drain();
  const auto close = server_->leases.Pop();
  EXPECT_TRUE(close->request().close());
  EXPECT_EQ(close->request().request_number(), poll->request().request_number());
  v1::LeaseJobsResponse response;
  *response.mutable_lease() = ProbeLease();
  close->Reply(response);
  const auto stream = server_->streams.Pop();
  const v1::OutcomeReport end = stream->NextOfAll();
  ExpectOfLease(end);
  EXPECT_TRUE(end.has_lease_end());
  EXPECT_TRUE(ended_.empty());
  stream->Acknowledge(end.sequence());
  EXPECT_TRUE(ended_.Pop().ok());
}

TEST_F(AgentTest, AWorkerThatIsNotKnownRegistersAgainAsTheSameProcess) {
  Start();
  const std::string instance = Registered(/*lease_seconds=*/0.03).instance();
  server_->leases.Pop()->Fail(StatusCode::NOT_FOUND);
  EXPECT_EQ(Registered(0.03).instance(), instance);
  const auto poll = server_->leases.Pop();
  server_->heartbeats.Pop(absl::Seconds(10))->Fail(StatusCode::NOT_FOUND);
  EXPECT_EQ(Registered().instance(), instance);
  v1::LeaseJobsResponse response;
  *response.mutable_lease() = ProbeLease();
  poll->Reply(response);
  server_->streams.Pop()->End(StatusCode::NOT_FOUND);
  EXPECT_EQ(Registered().instance(), instance);
  EXPECT_TRUE(server_->streams.Pop()->Next().has_probe());
}

TEST_F(AgentTest, AnotherProtocolEndsIt) {
  Start();
  server_->registrations.Pop()->Fail(StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ended_.Pop().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(server_->leases.empty());
}

TEST_F(AgentTest, AnIdThatIsRefusedEndsIt) {
  Start();
  server_->registrations.Pop()->Fail(StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ended_.Pop(absl::Seconds(10)).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace bitquake
