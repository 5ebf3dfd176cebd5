// What workers ask, over the wire.
#include "server/service/worker_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/service/served.h"

namespace bitquake {
namespace {

using grpc::StatusCode;

using WorkerServiceTest = ServiceTest;

TEST_F(WorkerServiceTest, AWorkerOfAnotherProtocolIsRefused) {
  const grpc::Status status = Register(kProtocolVersion + 1);
  EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_TRUE(Register().ok());
}

// An id is printed by whoever lists workers, and is in the log.
TEST_F(WorkerServiceTest, AnIdIsShortAndHasNoControlCharacters) {
  for (const std::string& id : {std::string(201, 'w'), std::string("w\x1b[2J"),
                                std::string("w\nforged"), std::string("w\xC2\x9B")}) {
    const grpc::Status status = Register(kProtocolVersion, id);
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT) << id;
    EXPECT_THAT(status.error_message(), testing::HasSubstr("--id"));
    EXPECT_THAT(status.error_message(), testing::Not(testing::HasSubstr("\x1b")));
  }
  EXPECT_FALSE(Register(kProtocolVersion, "\xFF").ok()) << "it is not UTF-8";
  EXPECT_TRUE(Register(kProtocolVersion, std::string(198, 'w') + "\xC3\xA9").ok());
}

TEST_F(WorkerServiceTest, AWorkerThatIsUnknownIsToldToRegister) {
  v1::LeaseJobsRequest request;
  request.set_worker_id("w");
  v1::LeaseJobsResponse response;
  Context context;
  EXPECT_EQ(workers_->LeaseJobs(&context, request, &response).error_code(), StatusCode::NOT_FOUND);
}

TEST_F(WorkerServiceTest, ALongPollEndsWithWorkOrWithTheCoordinator) {
  ASSERT_TRUE(Register().ok());
  EXPECT_FALSE(Lease(1).has_lease()) << "no work, no wait";
  v1::LeaseJobsRequest request;
  request.set_worker_id("w");
  request.set_wait_seconds(60);
  for (const bool work : {true, false}) {
    request.set_request_number(work ? 2 : 3);
    Context context;
    v1::LeaseJobsResponse response;
    Pending<bool> done;
    grpc::Status status;
    workers_->async()->LeaseJobs(&context, &request, &response,
                                 [&, callback = done.Callback()](const grpc::Status& ended) {
                                   status = ended;
                                   callback(true);
                                 });
    if (work) {
      SubmitSmall();
    } else {
      coordinator_->Stop();
    }
    ASSERT_TRUE(done.Get().ok());
    EXPECT_EQ(status.error_code(), work ? StatusCode::OK : StatusCode::UNAVAILABLE);
    EXPECT_EQ(response.has_lease(), work);
  }
}

TEST_F(WorkerServiceTest, OutcomesAreAcknowledgedAfterTheirCommit) {
  const std::string id = SubmitSmall();
  TestWorker(&coordinator_, "w").WorkUntil(JobKind::kTrials);  // held until it is repeated below
  ASSERT_TRUE(Register().ok());
  const v1::LeaseJobsResponse response = Lease(1000);
  ASSERT_TRUE(response.lease().has_trials());
  Context context;
  const auto stream = workers_->StreamOutcomes(&context);
  int64_t sequence = 70;
  for (const v1::TrialJob& job : response.lease().trials().jobs()) {
    LeaseGrant grant;
    grant.model = response.lease().model();
    grant.format = response.lease().format();
    const TrialOutcomeReport right =
        TestWorker::RightTrial(grant, {job.job_id(), job.cell_id(), job.trial(), job.fold()});
    v1::OutcomeReport report;
    report.set_worker_id("w");
    report.set_sequence(++sequence);
    report.set_lease_id(response.lease().lease_id());
    report.set_campaign_id(id);
    v1::TrialReport* trial = report.mutable_trial();
    trial->set_job_id(right.job);
    trial->set_images(right.images);
    trial->set_top1(right.top1);
    trial->set_top5(right.top5);
    trial->set_golden_top1(right.golden_top1);
    trial->set_golden_top5(right.golden_top5);
    trial->set_sdc(right.sdc);
    trial->set_right_to_wrong(right.right_to_wrong);
    trial->set_due(right.due);
    trial->add_flips_per_bit(right.flips);
    trial->set_flips(right.flips);
    trial->set_flips_wanted(right.flips_wanted);
    trial->set_faults_digest(right.faults_digest);
    trial->set_golden_digest(right.golden_digest);
    trial->set_outcome_digest(right.outcome_digest);
    const int64_t before = coordinator_.Query("SELECT count(*) FROM outcomes");
    ASSERT_TRUE(stream->Write(report));
    v1::OutcomeAck ack;
    ASSERT_TRUE(stream->Read(&ack));
    EXPECT_EQ(ack.sequence(), sequence);
    // Another connection sees it: it is committed.
    EXPECT_EQ(coordinator_.Query("SELECT count(*) FROM outcomes"), before + 1);
  }
  EXPECT_GT(sequence, 70);
  stream->WritesDone();
  v1::OutcomeAck ack;
  EXPECT_FALSE(stream->Read(&ack));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(Get(id).jobs_done(), kProbeJobs + kGoldenJobs + sequence - 70);
}

TEST_F(WorkerServiceTest, ARefusedReportIsNamedAndTheOthersGoOn) {
  ASSERT_TRUE(Register().ok());
  Context context;
  const auto stream = workers_->StreamOutcomes(&context);
  v1::OutcomeReport report;
  report.set_worker_id("w");
  report.set_sequence(1);
  ASSERT_TRUE(stream->Write(report));
  v1::OutcomeAck ack;
  ASSERT_TRUE(stream->Read(&ack));
  EXPECT_EQ(ack.sequence(), 1);
  EXPECT_EQ(ack.error(), "an outcome report without a report in it");
  report.set_sequence(2);
  report.mutable_lease_end();
  ASSERT_TRUE(stream->Write(report));
  ASSERT_TRUE(stream->Read(&ack));
  EXPECT_EQ(ack.sequence(), 2);
  EXPECT_EQ(ack.error(), "");
}

TEST_F(WorkerServiceTest, ACancelledLeaseIsToldOverTheStream) {
  ASSERT_TRUE(Register().ok());
  const std::string id = SubmitSmall();
  const int64_t lease = Lease(1).lease().lease_id();
  Context context;
  const auto stream = workers_->StreamOutcomes(&context);
  v1::OutcomeReport report;
  report.set_worker_id("w");
  report.set_sequence(1);
  report.set_lease_id(lease);
  report.set_campaign_id(id);
  report.mutable_begun();
  ASSERT_TRUE(stream->Write(report));
  v1::OutcomeAck ack;
  ASSERT_TRUE(stream->Read(&ack));
  EXPECT_EQ(ack.sequence(), 1);
  EXPECT_EQ(ack.ended_lease_id(), 0);
  ASSERT_TRUE(coordinator_.Control(id, Coordinator::Command::kCancel).ok());
  ASSERT_TRUE(stream->Read(&ack));
  EXPECT_EQ(ack.sequence(), 0);
  EXPECT_EQ(ack.ended_lease_id(), lease);
}

TEST_F(WorkerServiceTest, WhatCannotBeTakenIsNotAcknowledged) {
  Context context;
  const auto stream = workers_->StreamOutcomes(&context);
  v1::OutcomeReport report;
  report.set_worker_id("nobody");
  report.set_sequence(1);
  report.mutable_lease_end();
  ASSERT_TRUE(stream->Write(report));
  v1::OutcomeAck ack;
  EXPECT_FALSE(stream->Read(&ack));
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::NOT_FOUND);
}

TEST_F(WorkerServiceTest, AHeartbeatNamesTheLeasesThatHaveEndedAndWhoMustDrain) {
  ASSERT_TRUE(Register().ok());
  const std::string id = SubmitSmall();
  const int64_t lease = Lease(1).lease().lease_id();
  v1::HeartbeatRequest request;
  request.set_worker_id("w");
  request.add_lease_ids(lease);
  request.add_lease_ids(lease + 1);
  v1::HeartbeatResponse response;
  {
    Context context;
    ASSERT_TRUE(workers_->Heartbeat(&context, request, &response).ok());
  }
  EXPECT_EQ(response.desired_state(), v1::HeartbeatResponse::DESIRED_STATE_RUN);
  EXPECT_THAT(response.ended_lease_ids(), testing::ElementsAre(lease + 1));

  Context reports;
  const auto stream = workers_->StreamOutcomes(&reports);
  v1::OutcomeReport report;
  report.set_worker_id("w");
  report.set_lease_id(lease);
  report.set_campaign_id(id);
  report.mutable_failure()->set_error("a patch was not found again");
  report.mutable_failure()->set_untrusted(true);
  ASSERT_TRUE(stream->Write(report));
  v1::OutcomeAck ack;
  ASSERT_TRUE(stream->Read(&ack));
  Context context;
  ASSERT_TRUE(workers_->Heartbeat(&context, request, &response).ok());
  EXPECT_EQ(response.desired_state(), v1::HeartbeatResponse::DESIRED_STATE_DRAIN);
  EXPECT_THAT(response.ended_lease_ids(), testing::ElementsAre(lease, lease + 1));

  Context listing;
  v1::ListWorkersResponse workers;
  ASSERT_TRUE(campaigns_->ListWorkers(&listing, {}, &workers).ok());
  ASSERT_EQ(workers.workers_size(), 1);
  EXPECT_EQ(workers.workers(0).state(), "quarantined");
  EXPECT_EQ(workers.workers(0).error(), "a patch was not found again");
}

}  // namespace
}  // namespace bitquake
