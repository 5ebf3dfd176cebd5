#include "tests/server/cluster.h"

#include "absl/strings/str_cat.h"
#include "common/base/bitmap.h"
#include "common/campaign/campaign.h"
#include "server/store/migrations.h"
#include "tests/model/test_snapshot.h"

namespace bitquake {
namespace {

std::string FirstOnes(int64_t items, int64_t ones) {
  Bitmap bitmap(items);
  for (int64_t item = 0; item < ones; ++item) {
    bitmap.Set(item);
  }
  return bitmap.bytes();
}

// Sums that all differ.
AttentionDistances Distances(double first) {
  AttentionDistances distances{2, {}};
  for (int head = 0; head < 6; ++head) {
    distances.sums.push_back({first + head, 2 * first + head});
  }
  return distances;
}

}  // namespace

TestCoordinator::TestCoordinator(SchedulerOptions options, const std::string& path)
    : options_(options), path_(path.empty() ? folder_.Path("test.db") : path) {
  Restart();
}

void TestCoordinator::Restart(int64_t spare_pages) {
  coordinator_.reset();
  absl::StatusOr<Database> db = Database::Open(path_, Database::Mode::kReadWrite);
  EXPECT_TRUE(db.ok()) << db.status();
  const absl::Status migrated = Migrate(*db);
  EXPECT_TRUE(migrated.ok()) << migrated;
  const int64_t pages = db->QueryInt("PRAGMA page_count")->value_or(0);
  EXPECT_TRUE(db->RunScript(absl::StrCat("PRAGMA max_page_count = ", pages + spare_pages)).ok());
  auto started = Coordinator::Start(*std::move(db), &clock_, options_);
  EXPECT_TRUE(started.ok()) << started.status();
  coordinator_ = *std::move(started);
}

void TestCoordinator::Advance(absl::Duration time) {
  // In steps: timers that run late by much would say that the coordinator was away.
  for (absl::Duration left = time; left > absl::ZeroDuration(); left -= kStep) {
    Jump(std::min(left, kStep));
  }
}

void TestCoordinator::Jump(absl::Duration time) {
  clock_.Advance(time);
  coordinator_->Wake();
  coordinator_->counters();  // in one transaction with timers, or after it
}

std::string TestCoordinator::Submit(const std::string& text, const std::string& request_id) {
  absl::StatusOr<Campaign> campaign = ParseCampaign(text, "test");
  EXPECT_TRUE(campaign.ok()) << campaign.status();
  Pending<std::string> id;
  coordinator_->Submit(*std::move(campaign), request_id, id.Callback());
  absl::StatusOr<std::string> submitted = id.Get();
  EXPECT_TRUE(submitted.ok()) << submitted.status();
  return submitted.value_or("");
}

CampaignSnapshot TestCoordinator::Snapshot(const std::string& campaign) {
  Pending<CampaignSnapshot> reply;
  coordinator_->GetCampaign(campaign, reply.Callback());
  absl::StatusOr<CampaignSnapshot> snapshot = reply.Get();
  EXPECT_TRUE(snapshot.ok()) << snapshot.status();
  return snapshot.value_or(CampaignSnapshot{});
}

absl::StatusOr<CampaignSnapshot> TestCoordinator::Control(const std::string& campaign,
                                                          Coordinator::Command command) {
  Pending<CampaignSnapshot> reply;
  coordinator_->Control(campaign, command, reply.Callback());
  return reply.Get();
}

int64_t TestCoordinator::Query(const std::string& sql) {
  absl::StatusOr<Database> db = Database::Open(path_, Database::Mode::kReadOnly);
  EXPECT_TRUE(db.ok()) << db.status();
  const auto value = db->QueryInt(sql);
  EXPECT_TRUE(value.ok()) << value.status();
  return value->value_or(-1);
}

void TestCoordinator::Change(const std::string& sql) {
  absl::StatusOr<Database> db = Database::Open(path_, Database::Mode::kReadWrite);
  ASSERT_TRUE(db.ok()) << db.status();
  const absl::Status changed = db->RunScript(sql);
  ASSERT_TRUE(changed.ok()) << changed;
}

TestWorker::TestWorker(TestCoordinator* coordinator, std::string id, std::string instance,
                       std::string device_kind, std::vector<int64_t> kept)
    : coordinator_(coordinator), id_(std::move(id)) {
  Pending<Registration> reply;
  (*coordinator_)->Register({id_, instance, "host", "0.1.0", device_kind}, kept, reply.Callback());
  const absl::StatusOr<Registration> registered = reply.Get();
  EXPECT_TRUE(registered.ok()) << registered.status();
  registration_ = registered.value_or(Registration());
}

Pending<std::unique_ptr<LeaseGrant>> TestWorker::AskForLease(int64_t request_number,
                                                             absl::Duration wait) {
  Pending<std::unique_ptr<LeaseGrant>> reply;
  (*coordinator_)->Lease(id_, request_number, wait, reply.Callback());
  return reply;
}

std::unique_ptr<LeaseGrant> TestWorker::Lease() {
  auto grant = AskForLease(++request_number_, absl::ZeroDuration()).Get();
  EXPECT_TRUE(grant.ok()) << grant.status();
  return grant.ok() ? *std::move(grant) : nullptr;
}

absl::Status TestWorker::Report(const LeaseGrant& grant, decltype(Report::body) body) {
  Pending<bool> reply;
  (*coordinator_)
      ->Report({id_, grant.campaign, grant.lease, std::move(body)},
               [done = reply.Callback()](const absl::Status& status) {
                 done(status.ok() ? absl::StatusOr<bool>(true) : status);
               });
  return reply.Get().status();
}

absl::Status TestWorker::Fail(const LeaseGrant& grant, const std::string& error, bool permanent) {
  FailureReport failure;
  for (const LeasedJob& job : grant.jobs) {
    failure.jobs.push_back(job.job);
  }
  failure.error = error;
  failure.permanent = permanent;
  return Report(grant, failure);
}

absl::Status TestWorker::Answer(const LeaseGrant& grant, const LeasedJob& job) {
  switch (grant.kind) {
    case JobKind::kProbe:
      return Report(grant, RightProbe(grant));
    case JobKind::kGolden:
      return Report(grant, RightGolden(grant, job));
    case JobKind::kTrials:
      return Report(grant, RightTrial(grant, job));
  }
  return absl::InternalError("no such kind");
}

void TestWorker::AnswerAll(const LeaseGrant& grant) {
  for (const LeasedJob& job : grant.jobs) {
    const absl::Status answered = Answer(grant, job);
    EXPECT_TRUE(answered.ok()) << answered;
  }
  const absl::Status ended = Report(grant, LeaseEnd{});
  EXPECT_TRUE(ended.ok()) << ended;
}

std::unique_ptr<LeaseGrant> TestWorker::WorkUntil(JobKind until) {
  for (;;) {
    std::unique_ptr<LeaseGrant> grant = Lease();
    if (grant == nullptr || grant->kind == until) {
      EXPECT_NE(grant, nullptr) << "no such work came";
      return grant != nullptr ? std::move(grant) : std::make_unique<LeaseGrant>();
    }
    AnswerAll(*grant);
  }
}

void TestWorker::WorkToEnd() {
  for (auto grant = Lease(); grant != nullptr; grant = Lease()) {
    ASSERT_FALSE(grant->jobs.empty()) << "a lease of nothing";
    AnswerAll(*grant);
  }
}

ProbeOutcome TestWorker::RightProbe(const LeaseGrant& grant) {
  const TestVit vit;
  ProbeOutcome probe;
  probe.job = grant.jobs.empty() ? 0 : grant.jobs[0].job;
  probe.config_json = ConfigJson(vit);
  for (const TestTensor& tensor : RandomTensors(vit, /*seed=*/1)) {
    probe.tensors.push_back({tensor.name, tensor.shape});
  }
  probe.model_digest = absl::StrCat("digest of ", grant.model);
  probe.data_digest = "digest of the data";
  probe.images = kFoldImages[0] + kFoldImages[1];
  probe.fold_sizes = {static_cast<int>(kFoldImages[0]), static_cast<int>(kFoldImages[1])};
  probe.chunk = 16;
  return probe;
}

GoldenOutcomeReport TestWorker::RightGolden(const LeaseGrant& grant, const LeasedJob& job) {
  GoldenOutcomeReport golden;
  golden.job = job.job;
  golden.images = kFoldImages[job.fold];
  golden.top1 = golden.images - 1;
  golden.top5 = golden.images;
  golden.digest = absl::StrCat("golden ", grant.model, " ", grant.format, " ", job.fold);
  golden.predictions = std::string(golden.images * 4, '\0');
  golden.seconds = 0.5;
  // Sent also where they are not kept; all but the last image are of class 0.
  for (int64_t image = 0; image < golden.images; ++image) {
    golden.image_numbers.push_back(2 * image + job.fold);
    golden.labels.push_back(image == golden.images - 1 ? 1 : 0);
  }
  golden.attention = Distances(10 + job.fold);
  return golden;
}

TrialOutcomeReport TestWorker::RightTrial(const LeaseGrant& grant, const LeasedJob& job) {
  const GoldenOutcomeReport golden = RightGolden(grant, job);
  TrialOutcomeReport trial;
  trial.job = job.job;
  trial.images = golden.images;
  trial.golden_top1 = golden.top1;
  trial.golden_top5 = golden.top5;
  // Any numbers will do that differ from job to job and do not depend on who computes them.
  const auto mark = static_cast<int64_t>(job.cell + 2 * job.trial + job.fold);
  trial.top1 = mark % golden.top1;
  trial.top5 = trial.top1 + 1;
  trial.sdc = golden.top1 - trial.top1;
  trial.right_to_wrong = trial.sdc;
  trial.due = mark % 2;
  trial.flips = trial.flips_wanted = 10 * job.cell + job.trial;
  trial.flips_per_bit = {trial.flips, 0, 0, 0, 0, 0, 0, 0};
  trial.faults_digest = absl::StrCat("faults ", job.cell, " ", job.trial);
  trial.golden_digest = golden.digest;
  trial.outcome_digest = absl::StrCat("outcome ", job.cell, " ", job.trial, " ", job.fold);
  trial.inferences = trial.images;
  trial.seconds = 0.25;
  trial.correct = FirstOnes(trial.images, trial.top1);
  trial.same = FirstOnes(trial.images, trial.images - trial.sdc - trial.due);
  trial.attention = Distances(static_cast<double>(mark));
  return trial;
}

}  // namespace bitquake
