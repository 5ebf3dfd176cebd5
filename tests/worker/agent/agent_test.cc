#include "worker/agent/agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "common/base/build_info.h"
#include "tests/worker/agent/bench.h"
#include "tests/worker/agent/scripted_server.h"
#include "worker/agent/channel.h"

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
      left_.Push(cancelled());
      return cancelled() ? absl::CancelledError("cancelled") : absl::OkStatus();
    };
  }
  ~AgentTest() override {
    server_.reset();
    if (runner_.joinable()) {
      agent_->Drain();
      chunk_.Push(true);
      runner_.join();
    }
  }

  void Start(absl::Duration drain_grace = absl::ZeroDuration()) {
    AgentOptions options;
    options.worker_id = "w";
    options.device_kind = "abacus";
    options.drain_grace = drain_grace;
    agent_ = std::make_unique<Agent>(stub_.get(), &workbench_, options);
    runner_ = std::thread([this] { ended_.Push(agent_->Run()); });
  }

  // With the usual time no heartbeat comes during a test.
  v1::RegisterRequest Registered(double lease_seconds = 600) {
    const auto call = server_->registrations.Pop();
    v1::RegisterResponse response;
    response.set_lease_seconds(lease_seconds);
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

  const std::string address_ = "unix:" + folder_.Path("socket");
  std::unique_ptr<ScriptedServer> server_ = std::make_unique<ScriptedServer>(address_);
  std::unique_ptr<v1::WorkerService::Stub> stub_ = ConnectToCoordinator(address_);
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

TEST_F(AgentTest, DrainHandsBackWhatWasNotDoneAndWaitsForTheAcknowledgement) {
  Start(/*drain_grace=*/absl::Seconds(60));
  Registered();
  Leased(TrialLease());
  began_.Pop();
  agent_->Drain();
  chunk_.Push(true);
  const auto stream = server_->streams.Pop();
  const v1::OutcomeReport end = stream->Next();
  ExpectOfLease(end);
  EXPECT_TRUE(end.has_lease_end());
  EXPECT_TRUE(ended_.empty());
  stream->Acknowledge(end.sequence());
  EXPECT_TRUE(ended_.Pop().ok());
  EXPECT_TRUE(server_->leases.empty());
}

TEST_F(AgentTest, DrainEndsALongPoll) {
  Start();
  Registered();
  const auto poll = server_->leases.Pop();
  agent_->Drain();
  EXPECT_TRUE(ended_.Pop(absl::Seconds(20)).ok());
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

}  // namespace
}  // namespace bitquake
