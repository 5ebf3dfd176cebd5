// What people ask, over the wire.
#include "server/service/campaign_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/server/service/served.h"

namespace bitquake {
namespace {

using grpc::StatusCode;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

using CampaignServiceTest = ServiceTest;

TEST_F(CampaignServiceTest, SubmitGetAndListSpeakOfTheSameCampaign) {
  const std::string id = SubmitSmall();
  std::string again;
  ASSERT_TRUE(Submit(kSmallCampaign, "request", &again).ok());
  EXPECT_EQ(again, id);
  std::string second;
  ASSERT_TRUE(Submit(kSmallCampaign, "another", &second).ok());

  const v1::CampaignStatus status = Get(id);
  EXPECT_EQ(status.campaign_id(), id);
  EXPECT_EQ(status.name(), "small");
  EXPECT_EQ(status.state(), v1::CAMPAIGN_STATE_PROBING);

  std::vector<std::string> listed;
  std::string token;
  do {
    v1::ListCampaignsRequest request;
    request.set_page_size(1);
    request.set_page_token(token);
    v1::ListCampaignsResponse response;
    Context context;
    ASSERT_TRUE(campaigns_->ListCampaigns(&context, request, &response).ok());
    ASSERT_EQ(response.campaigns_size(), 1);
    listed.push_back(response.campaigns(0).campaign_id());
    token = response.next_page_token();
  } while (!token.empty() && listed.size() < 10);
  EXPECT_THAT(listed, ElementsAre(second, id));
}

TEST_F(CampaignServiceTest, ABadCampaignIsInvalidArgumentWithLineAndColumn) {
  const std::string bad = "name: n\nmodels: [m]\ndataset: d\nber: 1e-6\ntrails: 3\n";
  std::string id;
  const grpc::Status submitted = Submit(bad, "request", &id);
  EXPECT_EQ(submitted.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(submitted.error_message(), StartsWith("mine.yaml:5:1: "));
  EXPECT_THAT(submitted.error_message(), HasSubstr("trials"));

  v1::ValidateRequest request;
  request.set_file(bad);
  v1::ValidateResponse response;
  Context context;
  const grpc::Status validated = campaigns_->Validate(&context, request, &response);
  EXPECT_EQ(validated.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(validated.error_message(), StartsWith("campaign:5:1: "));
}

TEST_F(CampaignServiceTest, NamesThatLeaveTheirRootsAreInvalidArgument) {
  for (const char* file : {"name: n\nmodels: [../m]\ndataset: d\nber: 1e-6\n",
                           "name: n\nmodels: [m]\ndataset: /etc\nber: 1e-6\n"}) {
    std::string id;
    EXPECT_EQ(Submit(file, "request", &id).error_code(), StatusCode::INVALID_ARGUMENT) << file;
  }
}

TEST_F(CampaignServiceTest, MalformedRequestsAreInvalidArgument) {
  std::string id;
  EXPECT_EQ(Submit(kSmallCampaign, "", &id).error_code(), StatusCode::INVALID_ARGUMENT);
  v1::ListCampaignsRequest request;
  request.set_page_token("not a number");
  v1::ListCampaignsResponse response;
  Context context;
  EXPECT_EQ(campaigns_->ListCampaigns(&context, request, &response).error_code(),
            StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Register(kProtocolVersion, "").error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(CampaignServiceTest, ValidateGivesTheResolvedCampaignAndStoresNothing) {
  v1::ValidateRequest request;
  request.set_file(kSmallCampaign);
  v1::ValidateResponse response;
  Context context;
  ASSERT_TRUE(campaigns_->Validate(&context, request, &response).ok());
  EXPECT_EQ(ToJson(*ParseCampaign(kSmallCampaign, "f")), response.resolved_json());
  EXPECT_EQ(coordinator_.Query("SELECT count(*) FROM campaigns"), 0);
}

TEST_F(CampaignServiceTest, AnUnknownCampaignIsNotFoundInEveryCall) {
  {
    v1::GetCampaignRequest request;
    request.set_campaign_id("none");
    v1::CampaignStatus response;
    Context context;
    EXPECT_EQ(campaigns_->GetCampaign(&context, request, &response).error_code(),
              StatusCode::NOT_FOUND);
  }
  {
    v1::PauseCampaignRequest request;
    request.set_campaign_id("none");
    v1::CampaignStatus response;
    Context context;
    EXPECT_EQ(campaigns_->PauseCampaign(&context, request, &response).error_code(),
              StatusCode::NOT_FOUND);
  }
  {
    v1::WatchCampaignRequest request;
    request.set_campaign_id("none");
    v1::CampaignStatus message;
    Context context;
    const auto stream = campaigns_->WatchCampaign(&context, request);
    EXPECT_FALSE(stream->Read(&message));
    EXPECT_EQ(stream->Finish().error_code(), StatusCode::NOT_FOUND);
  }
  {
    v1::StreamResultsRequest request;
    request.set_campaign_id("none");
    v1::ResultBatch message;
    Context context;
    const auto stream = campaigns_->StreamResults(&context, request);
    EXPECT_FALSE(stream->Read(&message));
    EXPECT_EQ(stream->Finish().error_code(), StatusCode::NOT_FOUND);
  }
}

TEST_F(CampaignServiceTest, PauseResumeAndCancelAnswerWithTheNewState) {
  const std::string id = SubmitSmall();
  v1::CampaignStatus response;
  {
    v1::PauseCampaignRequest request;
    request.set_campaign_id(id);
    Context context;
    ASSERT_TRUE(campaigns_->PauseCampaign(&context, request, &response).ok());
    EXPECT_EQ(response.state(), v1::CAMPAIGN_STATE_PAUSED);
  }
  {
    v1::ResumeCampaignRequest request;
    request.set_campaign_id(id);
    Context context;
    ASSERT_TRUE(campaigns_->ResumeCampaign(&context, request, &response).ok());
    EXPECT_EQ(response.state(), v1::CAMPAIGN_STATE_PROBING);
  }
  v1::CancelCampaignRequest request;
  request.set_campaign_id(id);
  {
    Context context;
    ASSERT_TRUE(campaigns_->CancelCampaign(&context, request, &response).ok());
    EXPECT_EQ(response.state(), v1::CAMPAIGN_STATE_CANCELLED);
  }
  v1::PauseCampaignRequest late;
  late.set_campaign_id(id);
  Context context;
  EXPECT_EQ(campaigns_->PauseCampaign(&context, late, &response).error_code(),
            StatusCode::FAILED_PRECONDITION);
}

TEST_F(CampaignServiceTest, WatchStreamsTheStateNowAndEndsWithTheCampaign) {
  const std::string id = SubmitSmall();
  v1::WatchCampaignRequest request;
  request.set_campaign_id(id);
  Context context;
  const auto stream = campaigns_->WatchCampaign(&context, request);
  v1::CampaignStatus status;
  ASSERT_TRUE(stream->Read(&status));
  EXPECT_EQ(status.state(), v1::CAMPAIGN_STATE_PROBING);
  ASSERT_TRUE(coordinator_.Control(id, Coordinator::Command::kCancel).ok());
  coordinator_.Advance(absl::Seconds(1));
  v1::CampaignState last = v1::CAMPAIGN_STATE_UNSPECIFIED;
  while (stream->Read(&status)) {
    last = status.state();
  }
  EXPECT_EQ(last, v1::CAMPAIGN_STATE_CANCELLED);
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(CampaignServiceTest, WatchEndsUnavailableWhenTheCoordinatorStops) {
  v1::WatchCampaignRequest request;
  request.set_campaign_id(SubmitSmall());
  Context context;
  const auto stream = campaigns_->WatchCampaign(&context, request);
  v1::CampaignStatus status;
  ASSERT_TRUE(stream->Read(&status));
  coordinator_->Stop();
  EXPECT_FALSE(stream->Read(&status));
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::UNAVAILABLE);
}

TEST_F(CampaignServiceTest, ResultsAreTheInfoThenEveryCellWithItsTrials) {
  const std::string id = SubmitSmall();
  TestWorker worker(&coordinator_, "w");
  ASSERT_NO_FATAL_FAILURE(worker.WorkToEnd());
  v1::StreamResultsRequest request;
  request.set_campaign_id(id);
  Context context;
  const auto stream = campaigns_->StreamResults(&context, request);
  v1::ResultBatch batch;
  ASSERT_TRUE(stream->Read(&batch));
  ASSERT_TRUE(batch.has_info());
  EXPECT_EQ(batch.info().status().state(), v1::CAMPAIGN_STATE_DONE);
  EXPECT_EQ(batch.info().server_version(), kVersion);
  EXPECT_EQ(batch.info().images(), 9);
  EXPECT_EQ(batch.info().goldens_size(), 2);
  EXPECT_EQ(batch.info().models(0).architecture(), "vit_test");
  std::vector<v1::CellResult> cells;
  while (stream->Read(&batch)) {
    cells.insert(cells.end(), batch.cells().cells().begin(), batch.cells().cells().end());
  }
  ASSERT_TRUE(stream->Finish().ok());
  ASSERT_EQ(cells.size(), 2u);
  int64_t top1 = 0;
  for (const v1::CellResult& cell : cells) {
    ASSERT_EQ(cell.trials_size(), 2);
    EXPECT_EQ(cell.trials(0).images(), 9);
    EXPECT_EQ(cell.trials(1).trial(), 1u);
    top1 += cell.trials(0).top1() + cell.trials(1).top1();
  }
  EXPECT_EQ(top1, coordinator_.Query("SELECT sum(top1) FROM outcomes"));
}

}  // namespace
}  // namespace bitquake
