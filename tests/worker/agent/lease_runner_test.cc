#include "worker/agent/lease_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "common/campaign/folds.h"
#include "tests/worker/agent/bench.h"

namespace bitquake {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kQkv[] = "blocks.1.attn.qkv.weight";

class LeaseRunnerTest : public BenchTest {
 protected:
  // What a lease reports, its end included.
  std::vector<v1::OutcomeReport> Run(const v1::Lease& lease) {
    std::vector<v1::OutcomeReport> reports;
    LeaseHooks hooks;
    hooks.leave = [this] { return cancelled_; };
    hooks.finish = [this] { return finish_ && !began_.empty() && began_.back() != kPreparing; };
    hooks.begin = [this](const std::vector<int64_t>& jobs) { began_.push_back(jobs); };
    hooks.report = [&](v1::OutcomeReport report) {
      EXPECT_EQ(report.lease_id(), lease.lease_id());
      EXPECT_EQ(report.campaign_id(), lease.campaign().campaign_id());
      EXPECT_EQ(report.worker_id(), "");
      EXPECT_EQ(report.sequence(), 0);
      reports.push_back(std::move(report));
    };
    ended_ = LeaseRunner(&workbench_).Run(lease, hooks);
    return reports;
  }

  // Of a lease that ends well: what comes before its end.
  std::vector<v1::OutcomeReport> Outcomes(const v1::Lease& lease) {
    std::vector<v1::OutcomeReport> reports = Run(lease);
    EXPECT_FALSE(reports.empty());
    if (!reports.empty()) {
      EXPECT_TRUE(reports.back().has_lease_end());
      reports.pop_back();
    }
    for (const v1::OutcomeReport& report : reports) {
      EXPECT_FALSE(report.has_failure()) << report.failure().error();
    }
    return reports;
  }

  // Of a lease of which nothing can be done.
  v1::FailureReport Failure(const v1::Lease& lease) {
    const std::vector<v1::OutcomeReport> reports = Run(lease);
    EXPECT_EQ(reports.size(), 2u) << "the failure and the lease's end";
    EXPECT_TRUE(reports.back().has_lease_end());
    EXPECT_TRUE(reports.front().has_failure());
    return reports.front().failure();
  }

  void ExpectPermanent(const v1::Lease& lease, ::testing::Matcher<std::string> error) {
    const v1::FailureReport failure = Failure(lease);
    EXPECT_THAT(failure.error(), error);
    EXPECT_TRUE(failure.permanent());
    EXPECT_FALSE(failure.untrusted());
  }

  static v1::Lease GoldenLease() {
    v1::Lease lease = MakeLease();
    for (const int fold : {1, 0}) {
      v1::FoldJob* job = lease.mutable_golden()->add_folds();
      job->set_job_id(10 + fold);
      job->set_fold(fold);
    }
    return lease;
  }

  static v1::Lease TrialLease() {
    v1::Lease lease = MakeLease();
    AddCell(lease, 40, 0, "model", 1e-2);
    AddCell(lease, 41, 1, kQkv, 5e-2);
    AddTrial(lease, 20, 41, 2, 1);
    AddTrial(lease, 21, 40, 0, 0);
    AddTrial(lease, 22, 40, 2, 1);
    return lease;
  }

  std::vector<std::vector<int64_t>> Folds() {
    std::vector<int> labels;
    for (int i = 0; i < kImages; ++i) {
      labels.push_back(Label(i));
    }
    return MakeFolds(labels, 2, 2418);
  }

  const std::vector<int64_t> kPreparing;
  bool cancelled_ = false;
  bool finish_ = false;  // after the first jobs at work
  std::vector<std::vector<int64_t>> began_;
  absl::Status ended_;
};

TEST_F(LeaseRunnerTest, AProbeReportsWhatTheWorkbenchFinds) {
  const std::vector<v1::OutcomeReport> reports = Outcomes(ProbeLease());
  ASSERT_EQ(reports.size(), 1u);
  ASSERT_TRUE(reports[0].has_probe());
  const v1::ProbeReport& probe = reports[0].probe();
  EXPECT_EQ(probe.job_id(), 5);
  EXPECT_EQ(probe.config_json(), ConfigJson(TestVit()));
  std::map<std::string, std::vector<int64_t>> found;
  for (const v1::TensorShape& tensor : probe.tensors()) {
    found[tensor.name()] = {tensor.shape().begin(), tensor.shape().end()};
  }
  std::map<std::string, std::vector<int64_t>> written;
  for (const TestTensor& tensor : RandomTensors(TestVit(), 1)) {
    written[tensor.name] = tensor.shape;
  }
  EXPECT_EQ(found, written);
  EXPECT_EQ(probe.tensors_size(), static_cast<int>(written.size()));
  EXPECT_EQ(probe.model_digest(), SnapshotDigest(folder_.Path("models/vit")).value());
  EXPECT_EQ(probe.data_digest(), Dataset::Open(folder_.Path("data/set"))->Digest().value());
  EXPECT_EQ(probe.images(), kImages);
  EXPECT_THAT(probe.fold_sizes(), ElementsAre(5, 4));
  EXPECT_EQ(probe.chunk(), 30);
  EXPECT_TRUE(script_.created.empty()) << "a probe needs no evaluator";
}

TEST_F(LeaseRunnerTest, AProbeRefusesLabelsThatTheModelDoesNotKnow) {
  WriteTar(folder_.Path("data/set/a.tar"), {{"x.png", OracleFile("good/1x1.png")}, {"x.cls", "7"}});
  ExpectPermanent(ProbeLease(), AllOf(HasSubstr("label 7"), HasSubstr("only 7 classes")));
}

TEST_F(LeaseRunnerTest, GoldenPredictionsAreLittleEndianInTheFoldsOrder) {
  const std::vector<v1::OutcomeReport> reports = Outcomes(GoldenLease());
  ASSERT_EQ(reports.size(), 2u);
  const std::vector<std::vector<int64_t>> folds = Folds();
  for (const int fold : {1, 0}) {
    const v1::GoldenReport& golden = reports[1 - fold].golden();
    EXPECT_EQ(golden.job_id(), 10 + fold);
    EXPECT_EQ(golden.images(), static_cast<int64_t>(folds[fold].size()));
    EXPECT_EQ(golden.top1(), 100 + fold);
    EXPECT_EQ(golden.top5(), 200 + fold);
    EXPECT_EQ(golden.digest(), FakeGoldenDigest(fold));
    std::string expected;
    for (size_t i = 0; i < folds[fold].size(); ++i) {
      // FakePrediction, byte by byte.
      expected += {static_cast<char>(Label(static_cast<int>(folds[fold][i]))), static_cast<char>(i),
                   '\x02', '\x01'};
    }
    EXPECT_EQ(golden.predictions(), expected);
  }
  EXPECT_EQ(reports[0].golden().image_numbers_size(), 0) << "images are not kept";
  EXPECT_FALSE(script_.options[0].keep_images);
  ASSERT_EQ(script_.options.size(), 1u) << "one evaluator for the lease";
  EXPECT_EQ(script_.options[0].format.Name(), "int8");
  EXPECT_EQ(script_.options[0].compute, "fp32");
  EXPECT_EQ(script_.options[0].chunk, 16) << "the campaign's, not this worker's";
  EXPECT_EQ(script_.options[0].threads, 3);
}

TEST_F(LeaseRunnerTest, TrialsOfAFoldWithTheSameFaultsAreRunOnce) {
  v1::Lease lease = MakeLease();
  AddCell(lease, 40, 0, "model", 1e-2);
  AddCell(lease, 41, 0, "model", 1.0000000001e-2);  // as good as the same
  AddCell(lease, 42, 0, "model", 2e-2);
  AddTrial(lease, 20, 40, 0, 0);
  AddTrial(lease, 21, 41, 0, 0);
  AddTrial(lease, 22, 42, 0, 0);
  AddTrial(lease, 23, 41, 1, 0);
  AddTrial(lease, 24, 41, 0, 1);
  AddTrial(lease, 25, 40, 0, 1);
  const std::vector<v1::OutcomeReport> reports = Outcomes(lease);
  ASSERT_EQ(reports.size(), 6u);
  ASSERT_EQ(script_.runs.size(), 2u);
  EXPECT_THAT(script_.runs[0].ids, ElementsAre(20, 22, 23)) << "another trial has other faults";
  EXPECT_THAT(script_.runs[1].ids, ElementsAre(24)) << "another fold has other outcomes";
  std::map<int64_t, v1::TrialReport> of_job;
  for (const v1::OutcomeReport& report : reports) {
    of_job[report.trial().job_id()] = report.trial();
  }
  for (const auto& [copy, original] : {std::pair(21, 20), std::pair(25, 24)}) {
    EXPECT_EQ(of_job[copy].inferences(), 0);
    EXPECT_GT(of_job[original].inferences(), 0);
    v1::TrialReport expected = of_job[original];
    expected.set_job_id(copy);
    expected.set_inferences(0);
    expected.set_seconds(0);
    EXPECT_EQ(of_job[copy].SerializeAsString(), expected.SerializeAsString());
    EXPECT_GT(of_job[copy].flips(), 0);
  }
}

TEST_F(LeaseRunnerTest, TrialsHaveTheFaultsOfTheirSeedTensorTrialAndRate) {
  const v1::Lease lease = TrialLease();
  const std::vector<v1::OutcomeReport> reports = Outcomes(lease);
  ASSERT_EQ(reports.size(), 3u);
  ASSERT_EQ(script_.runs.size(), 2u) << "a run for each fold";
  EXPECT_EQ(script_.runs[0].fold, 0);
  EXPECT_THAT(script_.runs[0].ids, ElementsAre(21));
  EXPECT_EQ(script_.runs[1].fold, 1);
  EXPECT_THAT(script_.runs[1].ids, ElementsAre(20, 22));

  const Surface surface = OpenSnapshot(folder_.Path("models/vit"))->surface;
  const NumberFormat format = NumberFormat::FromName("int8").value();
  const auto draw = [&](Granularity::Kind kind, const std::string& name, uint32_t trial,
                        double ber) {
    Granularity granularity;
    granularity.kind = kind;
    const std::vector<Target> targets = ExpandTargets(surface, granularity, format).value();
    const auto target = std::find_if(targets.begin(), targets.end(),
                                     [&](const Target& t) { return t.name == name; });
    EXPECT_NE(target, targets.end()) << name;
    return DrawFaults(surface, *target, FaultModel(), format, 2418, trial, ber).value();
  };
  const std::map<int64_t, FaultList> expected = {
      {20, draw(Granularity::Kind::kTensor, kQkv, 2, 5e-2)},
      {21, draw(Granularity::Kind::kModel, "model", 0, 1e-2)},
      {22, draw(Granularity::Kind::kModel, "model", 2, 1e-2)}};
  std::map<int64_t, std::string> run;
  for (const EvaluatorScript::Run& each : script_.runs) {
    for (size_t i = 0; i < each.ids.size(); ++i) {
      run[each.ids[i]] = each.faults[i].Digest(surface);
    }
  }
  const std::map<int64_t, int> fold_of = {{20, 1}, {21, 0}, {22, 1}};
  for (const v1::OutcomeReport& report : reports) {
    const v1::TrialReport& trial = report.trial();
    ASSERT_EQ(expected.count(trial.job_id()), 1u);
    const FaultList& faults = expected.at(trial.job_id());
    ASSERT_GT(faults.flips(), 0);
    EXPECT_EQ(run[trial.job_id()], faults.Digest(surface)) << "what the evaluator was given";
    EXPECT_EQ(trial.faults_digest(), faults.Digest(surface));
    EXPECT_EQ(trial.golden_digest(), FakeGoldenDigest(fold_of.at(trial.job_id())));
    EXPECT_EQ(trial.outcome_digest(), FakeOutcome(trial.job_id()).digest);
  }
}

TEST_F(LeaseRunnerTest, ACellHasTheFaultModelThatItNames) {
  v1::Lease lease = TrialLease();
  lease.mutable_campaign()->set_resolved_json(absl::StrCat(
      kCampaign,
      "fault: [bit_flip, {kind: bit_flip, protection: {scheme: parity, check_bits: safe}}, "
      "{kind: bit_flip, protect: [{target: model, top: 7}]}]\n"));
  for (v1::CellSpec& cell : *lease.mutable_trials()->mutable_cells()) {
    cell.set_fault(cell.cell_id() == 40 ? "bit_flip + parity check_bits=safe"
                                        : "bit_flip protect=model/7");
  }
  Outcomes(lease);
  int parities = 0;
  for (const EvaluatorScript::Run& run : script_.runs) {
    for (size_t i = 0; i < run.ids.size(); ++i) {
      EXPECT_GT(run.faults[i].flips(), 0);
      for (const TensorFaults& tensor : run.faults[i].tensors) {
        for (const WordFault& fault : tensor.faults) {
          // The fake's golden words have all bits set, so a zeroed word has all flipped.
          const int flips = __builtin_popcount(fault.mask);
          EXPECT_TRUE(run.ids[i] == 20 ? fault.mask == 1 : flips == 8 || flips % 2 == 0);
          parities += run.ids[i] != 20 && flips == 8 ? 1 : 0;
        }
      }
    }
  }
  EXPECT_GT(parities, 0);
  lease.mutable_trials()->mutable_cells(0)->set_fault("bit_flip + secded");
  ExpectPermanent(lease, HasSubstr("no fault model 'bit_flip + secded'"));
}

TEST_F(LeaseRunnerTest, EveryCountOfATrialHasItsPlaceInTheReport) {
  v1::Lease lease = MakeLease();
  AddCell(lease, 40, 0, "model", 0);
  AddTrial(lease, 3, 40, 0, 0);
  const std::vector<v1::OutcomeReport> reports = Outcomes(lease);
  ASSERT_EQ(reports.size(), 1u);
  const v1::TrialReport& trial = reports[0].trial();
  EXPECT_THAT((std::vector<int64_t>{trial.images(), trial.top1(), trial.top5(), trial.golden_top1(),
                                    trial.golden_top5(), trial.sdc(), trial.right_to_wrong(),
                                    trial.wrong_to_right(), trial.due(), trial.flips(),
                                    trial.inferences(), trial.flips_wanted()}),
              ElementsAre(3001, 3002, 3003, 3004, 3005, 3006, 3007, 3008, 3009, 3010, 3011, 3012));
  EXPECT_THAT(trial.flips_per_bit(), ElementsAre(3013, 3014, 3015));
  EXPECT_EQ(trial.seconds(), 0.75);
}

TEST_F(LeaseRunnerTest, ACampaignThatKeepsImagesGetsThem) {
  v1::Lease lease = GoldenLease();
  lease.mutable_campaign()->set_resolved_json(absl::StrCat(kCampaign, "keep: images\n"));
  const std::vector<v1::OutcomeReport> goldens = Outcomes(lease);
  ASSERT_EQ(goldens.size(), 2u);
  EXPECT_TRUE(script_.options.back().keep_images);
  const std::vector<std::vector<int64_t>> folds = Folds();
  for (const int fold : {1, 0}) {
    const v1::GoldenReport& golden = goldens[1 - fold].golden();
    EXPECT_THAT(golden.image_numbers(), ::testing::ElementsAreArray(folds[fold]));
    std::vector<int> labels;
    for (const int64_t image : folds[fold]) {
      labels.push_back(Label(static_cast<int>(image)));
    }
    EXPECT_THAT(golden.labels(), ::testing::ElementsAreArray(labels));
  }
  lease = TrialLease();
  lease.mutable_campaign()->set_resolved_json(absl::StrCat(kCampaign, "keep: images\n"));
  for (const v1::OutcomeReport& report : Outcomes(lease)) {
    const TrialOutcome outcome = FakeOutcome(report.trial().job_id());
    EXPECT_EQ(report.trial().correct(), outcome.correct.bytes());
    EXPECT_EQ(report.trial().same(), outcome.same.bytes());
    EXPECT_NE(report.trial().correct(), report.trial().same());
  }
}

TEST_F(LeaseRunnerTest, AttentionDistancesAreAskedForAsTheCampaignSaysAndReported) {
  v1::Lease lease = GoldenLease();
  const auto ask = [&](const char* what) {
    lease.mutable_campaign()->set_campaign_id(what);
    lease.mutable_campaign()->set_resolved_json(
        absl::StrCat(kCampaign, "attention_distance: ", what, "\n"));
    return Outcomes(lease);
  };
  ask("none");
  EXPECT_FALSE(script_.options.back().golden_attention);
  ask("golden");
  EXPECT_TRUE(script_.options.back().golden_attention);
  EXPECT_FALSE(script_.options.back().trial_attention);
  const std::vector<v1::OutcomeReport> golden = ask("faulty");
  EXPECT_TRUE(script_.options.back().golden_attention);
  EXPECT_TRUE(script_.options.back().trial_attention);
  EXPECT_EQ(golden[0].golden().attention().heads(), 2);
  EXPECT_THAT(golden[0].golden().attention().sums(), ElementsAre(1.5, 2.5, 0.25, 1e-300));
  lease = TrialLease();
  const v1::TrialReport trial = ask("faulty")[0].trial();
  EXPECT_EQ(trial.attention().heads(), 1);
  EXPECT_THAT(trial.attention().sums(), ElementsAre(0.5 * trial.job_id(), 3));
}

TEST_F(LeaseRunnerTest, FlipsAreThoseThatTheEvaluatorSaysAreReal) {
  const v1::Lease lease = TrialLease();
  const auto flips = LeaseRunner(&workbench_).Flips(lease);
  ASSERT_TRUE(flips.ok()) << flips.status();
  ASSERT_EQ(flips->size(), 3u);
  EXPECT_TRUE(script_.runs.empty()) << "nothing is run";
  ASSERT_EQ(Outcomes(lease).size(), 3u);
  std::map<int64_t, FaultList> drawn;
  for (const EvaluatorScript::Run& run : script_.runs) {
    for (size_t i = 0; i < run.ids.size(); ++i) {
      drawn[run.ids[i]] = run.faults[i];
    }
  }
  for (const TrialFlips& trial : *flips) {
    EXPECT_EQ(trial.flips.Digest(trial.surface),
              FakeFlips(drawn.at(trial.job)).Digest(trial.surface));
  }
}

TEST_F(LeaseRunnerTest, OtherFilesThanThePinnedOnesAreAPermanentFailureThatNamesBoth) {
  const std::string model = SnapshotDigest(folder_.Path("models/vit")).value();
  const std::string data = Dataset::Open(folder_.Path("data/set"))->Digest().value();
  const std::string other = std::string(64, 'f');
  v1::Lease lease = TrialLease();
  lease.mutable_campaign()->set_model_digest(model);
  lease.mutable_campaign()->set_data_digest(data);
  EXPECT_EQ(Outcomes(lease).size(), 3u);

  lease.mutable_campaign()->set_data_digest(other);
  ExpectPermanent(lease, AllOf(HasSubstr("data set 'set'"), HasSubstr(data.substr(0, 12)),
                               HasSubstr("ffffffffffff")));
  lease.mutable_campaign()->set_model_digest(other);
  lease.mutable_campaign()->set_data_digest(data);
  ExpectPermanent(lease, AllOf(HasSubstr("model 'vit'"), HasSubstr(model.substr(0, 12)),
                               HasSubstr("ffffffffffff")));
  EXPECT_THAT(Failure(lease).job_ids(), ElementsAre(20, 21, 22)) << "all jobs of the lease";
}

TEST_F(LeaseRunnerTest, WhatTheCampaignDoesNotHaveIsRefused) {
  v1::Lease lease = TrialLease();
  AddTrial(lease, 23, 42, 0, 0);
  ExpectPermanent(lease, HasSubstr("job 23: unknown cell"));
  for (const int granularity : {-1, 2}) {
    lease = TrialLease();
    AddCell(lease, 42, granularity, "model", 1e-2);
    ExpectPermanent(lease, HasSubstr("cell 42: granularity"));
  }
  lease = TrialLease();
  AddCell(lease, 42, 0, kQkv, 1e-2);  // a target of the other granularity
  ExpectPermanent(lease, HasSubstr("cell 42: no target 'blocks.1.attn.qkv.weight'"));
  lease = TrialLease();
  AddTrial(lease, 23, 40, 0, -1);
  ExpectPermanent(lease, HasSubstr("fold -1"));
  lease = GoldenLease();
  lease.mutable_golden()->mutable_folds(0)->set_fold(2);
  ExpectPermanent(lease, HasSubstr("fold 2"));
  lease = TrialLease();
  lease.set_format("int99");
  ExpectPermanent(lease, HasSubstr("int99"));
  lease = ProbeLease();
  lease.set_model("vip");
  ExpectPermanent(lease, HasSubstr("'vip'"));
  EXPECT_TRUE(script_.runs.empty()) << "refused before anything is run";
}

TEST_F(LeaseRunnerTest, AFailedProofMakesTheWorkerUntrusted) {
  script_.run = [](const auto&) { return absl::DataLossError("the canary differs"); };
  const v1::FailureReport failure = Failure(TrialLease());
  EXPECT_TRUE(failure.untrusted());
  EXPECT_THAT(failure.error(), AllOf(HasSubstr("fold 0"), HasSubstr("the canary differs")));
  EXPECT_THAT(failure.job_ids(), ElementsAre(20, 21, 22));
  EXPECT_EQ(script_.alive, 0) << "its evaluators may be wrong too";
}

// FakeEvaluator's times, and what is measured of the lease itself, which is short.
void ExpectAbout(const WorkerCounts& counts, Stage stage, absl::Duration time) {
  EXPECT_GE(counts.of(stage), time);
  EXPECT_LT(counts.of(stage), time + absl::Seconds(1)) << kStageNames[static_cast<size_t>(stage)];
}

TEST_F(LeaseRunnerTest, FiguresAreThoseOfAllLeases) {
  Outcomes(GoldenLease());
  WorkerCounts counts = workbench_.figures().counts();
  EXPECT_EQ(counts.images, kImages);
  EXPECT_EQ(counts.inferences, 0);
  ExpectAbout(counts, Stage::kGolden, absl::Seconds(2));
  ExpectAbout(counts, Stage::kInfer, absl::ZeroDuration());
  EXPECT_GT(counts.of(Stage::kLoad), absl::ZeroDuration());

  Outcomes(TrialLease());
  counts = workbench_.figures().counts();
  const auto sum = [](int64_t TrialOutcome::*count) {
    return FakeOutcome(20).*count + FakeOutcome(21).*count + FakeOutcome(22).*count;
  };
  EXPECT_EQ(counts.images, kImages + sum(&TrialOutcome::images));
  EXPECT_EQ(counts.inferences, sum(&TrialOutcome::inferences));
  // Two runs, each with golden outcomes.
  ExpectAbout(counts, Stage::kGolden, absl::Seconds(4));
  ExpectAbout(counts, Stage::kInject, absl::Seconds(20));
  ExpectAbout(counts, Stage::kInfer, absl::Seconds(40));
  ExpectAbout(counts, Stage::kUndo, absl::Seconds(60));
  EXPECT_GT(counts.of(Stage::kReport), absl::ZeroDuration());
  EXPECT_EQ(counts.failed_proofs, 0);
}

TEST_F(LeaseRunnerTest, FiguresCountWhatFailedAndTheTimeThatItTook) {
  script_.run = [](const auto&) { return absl::DataLossError("the canary differs"); };
  Failure(TrialLease());
  const WorkerCounts counts = workbench_.figures().counts();
  EXPECT_EQ(counts.failed_proofs, 1);
  EXPECT_EQ(counts.images, 0);
  ExpectAbout(counts, Stage::kInfer, absl::Seconds(20));
}

TEST_F(LeaseRunnerTest, AnotherErrorOfTheEvaluatorMayPass) {
  script_.run = [](const auto&) { return absl::ResourceExhaustedError("no memory"); };
  const v1::FailureReport failure = Failure(TrialLease());
  EXPECT_FALSE(failure.permanent());
  EXPECT_FALSE(failure.untrusted());
  EXPECT_EQ(workbench_.figures().counts().failed_proofs, 0);
  EXPECT_THAT(failure.error(), HasSubstr("no memory"));
  EXPECT_EQ(script_.alive, 0) << "the next attempt has all of the memory";
}

TEST_F(LeaseRunnerTest, WhatWasDoneBeforeAFailureIsReported) {
  int calls = 0;
  script_.run = [&calls](const auto&) {
    return ++calls == 1 ? absl::OkStatus() : absl::InternalError("broken");
  };
  const std::vector<v1::OutcomeReport> reports = Run(TrialLease());
  ASSERT_EQ(reports.size(), 3u);
  EXPECT_EQ(reports[0].trial().job_id(), 21);
  EXPECT_TRUE(reports[1].has_failure());
  EXPECT_TRUE(reports[2].has_lease_end());
}

TEST_F(LeaseRunnerTest, ALeaseThatHasEndedReportsNothing) {
  script_.run = [this](const std::function<bool()>& cancelled) {
    EXPECT_FALSE(cancelled());
    cancelled_ = true;
    EXPECT_TRUE(cancelled()) << "the evaluator is told";
    return absl::CancelledError("cancelled");
  };
  EXPECT_TRUE(Run(TrialLease()).empty());
  EXPECT_TRUE(Run(GoldenLease()).empty());
  EXPECT_TRUE(script_.seen.empty()) << "golden was not begun";
}

TEST_F(LeaseRunnerTest, GoldenIsLeftBetweenChunks) {
  script_.golden = [this](const std::function<bool()>& cancelled) {
    cancelled_ = true;
    return cancelled() ? absl::CancelledError("cancelled") : absl::OkStatus();
  };
  EXPECT_TRUE(Run(GoldenLease()).empty());
  EXPECT_TRUE(absl::IsCancelled(ended_));
  EXPECT_TRUE(script_.seen.empty());
}

TEST_F(LeaseRunnerTest, SaysWhatItBegins) {
  Outcomes(TrialLease());
  EXPECT_THAT(began_, ElementsAre(kPreparing, ElementsAre(21), ElementsAre(20, 22)));
  began_.clear();
  Outcomes(GoldenLease());
  EXPECT_THAT(began_, ElementsAre(kPreparing, ElementsAre(11), ElementsAre(11), ElementsAre(10)))
      << "the first while the model is loaded, too";
  began_.clear();
  Outcomes(ProbeLease());
  EXPECT_THAT(began_, ElementsAre(kPreparing, ElementsAre(5)));
}

TEST_F(LeaseRunnerTest, SuspectsAreBegunOneByOne) {
  v1::Lease lease = TrialLease();
  lease.set_one_by_one(true);
  EXPECT_EQ(Outcomes(lease).size(), 3u);
  EXPECT_THAT(began_, ElementsAre(kPreparing, ElementsAre(21), ElementsAre(20), ElementsAre(22)));
}

TEST_F(LeaseRunnerTest, FinishLeavesWhatIsNotBegun) {
  finish_ = true;
  const std::vector<v1::OutcomeReport> reports = Run(TrialLease());
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].trial().job_id(), 21);
  EXPECT_TRUE(absl::IsCancelled(ended_));
}

TEST_F(LeaseRunnerTest, ALostDeviceIsNoFailureOfAJob) {
  script_.run = [](const auto&) { return absl::AbortedError("the device failed"); };
  const std::vector<v1::OutcomeReport> reports = Run(TrialLease());
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_TRUE(reports[0].lease_end().lost());
  EXPECT_TRUE(absl::IsAborted(ended_));
}

}  // namespace
}  // namespace bitquake
