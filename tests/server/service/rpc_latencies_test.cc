#include "server/service/rpc_latencies.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/service/served.h"

namespace bitquake {
namespace {

using ::testing::Contains;
using ::testing::Key;
using ::testing::Not;
using ::testing::SizeIs;

class RpcLatenciesTest : public ServiceTest {
 protected:
  prometheus::ClientMetric::Histogram Of(const std::string& method) {
    return server_->latencies().Collect()[method].histogram;
  }
};

TEST_F(RpcLatenciesTest, CountEachCallUnderItsMethod) {
  const std::string id = SubmitSmall();
  Get(id);
  Get(id);
  EXPECT_EQ(Of("Submit").sample_count, 1u);
  EXPECT_EQ(Of("GetCampaign").sample_count, 2u);
  EXPECT_GT(Of("GetCampaign").sample_sum, 0);
  EXPECT_EQ(Of("LeaseJobs").sample_count, 0u);
  EXPECT_THAT(server_->latencies().Collect(), SizeIs(15)) << "methods of both services";
}

TEST_F(RpcLatenciesTest, CountCallsThatFail) {
  v1::GetCampaignRequest request;
  request.set_campaign_id("none");
  v1::CampaignStatus response;
  Context context;
  EXPECT_EQ(campaigns_->GetCampaign(&context, request, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Of("GetCampaign").sample_count, 1u);
}

TEST_F(RpcLatenciesTest, OfALongPollHoldItsWait) {
  ASSERT_TRUE(Register().ok());
  v1::LeaseJobsRequest request;
  request.set_worker_id("w");
  request.set_request_number(1);
  request.set_wait_seconds(600);
  v1::LeaseJobsResponse response;
  Context context;
  Pending<bool> answered;
  workers_->async()->LeaseJobs(
      &context, &request, &response,
      [callback = answered.Callback()](const grpc::Status& status) { callback(status.ok()); });
  // The server has the request when somebody waits; then a quarter of a second passes.
  EXPECT_EQ(Of("LeaseJobs").sample_count, 0u);
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(250)) {
    coordinator_->counters();
  }
  SubmitSmall();
  ASSERT_TRUE(answered.Get().value());
  EXPECT_EQ(Of("LeaseJobs").sample_count, 1u);
  EXPECT_GT(Of("LeaseJobs").sample_sum, 0.1);
  EXPECT_LT(Of("Submit").sample_sum, Of("LeaseJobs").sample_sum);
}

TEST_F(RpcLatenciesTest, OfOutcomesAreThoseOfEachReport) {
  ASSERT_TRUE(Register().ok());
  Context context;
  const auto stream = workers_->StreamOutcomes(&context);
  for (int sequence = 1; sequence <= 3; ++sequence) {
    v1::OutcomeReport report;
    report.set_worker_id("w");
    report.set_sequence(sequence);
    report.mutable_lease_end();
    ASSERT_TRUE(stream->Write(report));
    v1::OutcomeAck ack;
    ASSERT_TRUE(stream->Read(&ack));
    EXPECT_EQ(ack.sequence(), sequence);
    EXPECT_EQ(Of("StreamOutcomes").sample_count, static_cast<uint64_t>(sequence));
  }
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(Of("StreamOutcomes").sample_count, 3u) << "the stream's end is no answer";
}

TEST_F(RpcLatenciesTest, OfAWatchAreThoseOfItsFirstState) {
  v1::WatchCampaignRequest request;
  request.set_campaign_id(SubmitSmall());
  Context context;
  const auto watch = campaigns_->WatchCampaign(&context, request);
  v1::CampaignStatus state;
  ASSERT_TRUE(watch->Read(&state));
  EXPECT_EQ(Of("WatchCampaign").sample_count, 1u);
  v1::CancelCampaignRequest cancel;
  cancel.set_campaign_id(request.campaign_id());
  Context other;
  ASSERT_TRUE(campaigns_->CancelCampaign(&other, cancel, &state).ok());
  while (watch->Read(&state)) {
  }
  EXPECT_TRUE(watch->Finish().ok());
  EXPECT_EQ(Of("WatchCampaign").sample_count, 1u);
}

TEST_F(RpcLatenciesTest, HaveNoPlaceForOtherMethods) {
  EXPECT_THAT(server_->latencies().Collect(), Not(Contains(Key("Check"))));
}

}  // namespace
}  // namespace bitquake
