// What people ask, over the wire.
#include "server/service/campaign_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "common/report/trial_record.h"
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

// What a campaign kept arrives whole, in its order, after all cells, and only when asked for.
TEST_F(CampaignServiceTest, KeptImagesComeInBatchesOfTheirOwnWhenAskedFor) {
  std::string id;
  ASSERT_TRUE(Submit(kKeepingCampaign, "request", &id).ok());
  TestWorker worker(&coordinator_, "w");
  ASSERT_NO_FATAL_FAILURE(worker.WorkToEnd());
  for (const bool details : {false, true}) {
    v1::StreamResultsRequest request;
    request.set_campaign_id(id);
    request.set_details(details);
    Context context;
    const auto stream = campaigns_->StreamResults(&context, request);
    v1::ResultBatch batch;
    std::string kinds;
    std::vector<int64_t> numbers;
    std::vector<v1::FoldOutcome> outcomes;
    std::vector<v1::TrialHeads> heads;
    while (stream->Read(&batch)) {
      kinds += batch.has_info()     ? 'i'
               : batch.has_cells()  ? 'c'
               : batch.has_fold()   ? 'f'
               : batch.has_images() ? 'o'
                                    : 'a';
      numbers.insert(numbers.end(), batch.fold().images().begin(), batch.fold().images().end());
      heads.insert(heads.end(), batch.attention().trials().begin(),
                   batch.attention().trials().end());
      outcomes.insert(outcomes.end(), batch.images().outcomes().begin(),
                      batch.images().outcomes().end());
    }
    ASSERT_TRUE(stream->Finish().ok());
    EXPECT_EQ(kinds, details ? "icffoa" : "ic");
    if (details) {
      EXPECT_THAT(numbers, ElementsAre(0, 2, 4, 6, 8, 1, 3, 5, 7));
      ASSERT_EQ(outcomes.size(), static_cast<size_t>(kTrialJobs));
      EXPECT_EQ(outcomes.back().cell(), 1);
      EXPECT_EQ(outcomes.back().correct().size(), 1u);
      ASSERT_EQ(heads.size(), 4u);
      EXPECT_EQ(heads[3].cell(), 1);
      EXPECT_EQ(heads[3].trial(), 1u);
      EXPECT_EQ(heads[3].attention().heads(), 2);
      EXPECT_EQ(heads[3].attention().sums_size(), 12);
    }
  }
}

TEST_F(CampaignServiceTest, ATrialIsToldWithWhatItTakesToComputeItAgain) {
  std::string id;
  ASSERT_TRUE(Submit(kKeepingCampaign, "request", &id).ok());
  const auto get = [&](int64_t cell, uint32_t trial, v1::TrialRecord* record) {
    v1::GetTrialRequest request;
    request.set_campaign_id(id);
    request.set_cell(cell);
    request.set_trial(trial);
    Context context;
    return campaigns_->GetTrial(&context, request, record);
  };
  v1::TrialRecord record;
  EXPECT_THAT(get(0, 0, &record).error_message(), HasSubstr("no cells yet"));
  TestWorker worker(&coordinator_, "w");
  const auto grant = worker.WorkUntil(JobKind::kTrials);
  ASSERT_TRUE(get(1, 1, &record).ok());
  EXPECT_FALSE(record.finished());
  worker.AnswerAll(*grant);
  ASSERT_NO_FATAL_FAILURE(worker.WorkToEnd());

  ASSERT_TRUE(get(1, 1, &record).ok());
  EXPECT_TRUE(record.finished());
  EXPECT_EQ(record.model(), "vit");
  EXPECT_EQ(record.model_digest(), "digest of vit");
  EXPECT_EQ(record.data_digest(), "digest of the data");
  EXPECT_EQ(record.chunk(), 16);
  EXPECT_EQ(record.format(), "int8");
  EXPECT_EQ(record.granularity_index(), 0);
  EXPECT_EQ(record.target(), "model");
  EXPECT_EQ(record.ber(), 1e-3);
  EXPECT_EQ(ToJson(*ParseCampaign(kKeepingCampaign, "f")), record.resolved_json());
  LeasedJob job;
  job.cell = coordinator_.Query("SELECT max(id) FROM cells");
  job.trial = 1;
  TrialCounts sum;
  ASSERT_EQ(record.folds_size(), 2);
  for (job.fold = 0; job.fold < 2; ++job.fold) {
    const TrialOutcomeReport expected = TestWorker::RightTrial(*grant, job);
    const v1::TrialFold& fold = record.folds(job.fold);
    EXPECT_EQ(fold.fold(), job.fold);
    EXPECT_EQ(fold.counts().images(), expected.images);
    EXPECT_EQ(fold.counts().top1(), expected.top1);
    EXPECT_EQ(fold.counts().top5(), expected.top5);
    EXPECT_EQ(fold.counts().golden_top1(), expected.golden_top1);
    EXPECT_EQ(fold.counts().golden_top5(), expected.golden_top5);
    EXPECT_EQ(fold.counts().sdc(), expected.sdc);
    EXPECT_EQ(fold.counts().due(), expected.due);
    EXPECT_EQ(fold.counts().inferences(), expected.inferences);
    EXPECT_EQ(fold.right_to_wrong(), expected.right_to_wrong);
    EXPECT_EQ(fold.wrong_to_right(), expected.wrong_to_right);
    EXPECT_EQ(fold.digest(), expected.outcome_digest);
    EXPECT_EQ(fold.golden_digest(), expected.golden_digest);
    EXPECT_EQ(fold.device_kind(), "cpu");
    EXPECT_EQ(fold.golden_device_kind(), "cpu");
    EXPECT_EQ(fold.correct(), expected.correct);
    EXPECT_EQ(fold.same(), expected.same);
    EXPECT_EQ(fold.attention_digest(), DigestOf(expected.attention));
    EXPECT_EQ(record.flips(), expected.flips);
    EXPECT_THAT(record.flips_per_bit(), testing::ElementsAreArray(expected.flips_per_bit));
    EXPECT_EQ(record.faults_digest(), expected.faults_digest);
    sum.top1 += expected.top1;
  }
  EXPECT_EQ(record.counts().top1(), sum.top1);
  EXPECT_EQ(record.counts().images(), 9);
}

TEST_F(CampaignServiceTest, ACellOrTrialOutOfRangeIsInvalidArgumentWithTheRange) {
  const std::string id = SubmitSmall();
  TestWorker worker(&coordinator_, "w");
  ASSERT_NO_FATAL_FAILURE(worker.WorkToEnd());
  const auto error = [&](const std::string& campaign, int64_t cell, uint32_t trial) {
    v1::GetTrialRequest request;
    request.set_campaign_id(campaign);
    request.set_cell(cell);
    request.set_trial(trial);
    Context context;
    v1::TrialRecord record;
    return campaigns_->GetTrial(&context, request, &record);
  };
  for (const int64_t cell : {-1, 2}) {
    EXPECT_EQ(error(id, cell, 0).error_code(), StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(error(id, cell, 0).error_message(), HasSubstr("cells are 0 to 1"));
  }
  EXPECT_EQ(error(id, 0, 2).error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(error(id, 0, 2).error_message(), HasSubstr("trials of a cell are 0 to 1"));
  EXPECT_EQ(error("none", 0, 0).error_code(), StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace bitquake
