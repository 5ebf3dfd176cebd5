#include "server/service/translate.h"

#include "absl/status/statusor.h"
#include "common/base/build_info.h"
#include "common/model/architecture.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

v1::CampaignState StateFromText(const std::string& state) {
  static const auto* states = new std::map<std::string, v1::CampaignState>{
      {"probing", v1::CAMPAIGN_STATE_PROBING},     {"running", v1::CAMPAIGN_STATE_RUNNING},
      {"paused", v1::CAMPAIGN_STATE_PAUSED},       {"done", v1::CAMPAIGN_STATE_DONE},
      {"cancelled", v1::CAMPAIGN_STATE_CANCELLED}, {"failed", v1::CAMPAIGN_STATE_FAILED}};
  const auto found = states->find(state);
  return found == states->end() ? v1::CAMPAIGN_STATE_UNSPECIFIED : found->second;
}

std::string ArchitectureName(const std::string& config_json) {
  const auto config = nlohmann::json::parse(config_json, nullptr, /*allow_exceptions=*/false);
  const auto name = config.is_object() ? config.find("architecture") : config.end();
  return name != config.end() && name->is_string() ? name->get<std::string>() : "";
}

AttentionDistances FromProto(const v1::AttentionDistances& message) {
  AttentionDistances distances{message.heads(), {}};
  for (int i = 0; i + 1 < message.sums_size(); i += 2) {
    distances.sums.push_back({message.sums(i), message.sums(i + 1)});
  }
  return distances;
}

v1::AttentionDistances ToProto(const AttentionDistances& distances) {
  v1::AttentionDistances message;
  message.set_heads(distances.heads);
  for (const HeadDistance& head : distances.sums) {
    message.add_sums(head.mad);
    message.add_sums(head.renormalised);
  }
  return message;
}

void FillCounts(const TrialCounts& counts, v1::TrialCounts* message) {
  message->set_images(counts.images);
  message->set_top1(counts.top1);
  message->set_top5(counts.top5);
  message->set_golden_top1(counts.golden_top1);
  message->set_golden_top5(counts.golden_top5);
  message->set_sdc(counts.sdc);
  message->set_due(counts.due);
  message->set_inferences(counts.inferences);
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  // The two libraries share their codes.
  return status.ok() ? grpc::Status::OK
                     : grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                                    std::string(status.message()));
}

v1::CampaignStatus ToProto(const CampaignSnapshot& snapshot) {
  v1::CampaignStatus status;
  status.set_campaign_id(snapshot.id);
  status.set_name(snapshot.name);
  status.set_state(StateFromText(snapshot.state));
  status.set_error(snapshot.error);
  status.set_jobs_total(snapshot.jobs_total);
  status.set_jobs_done(snapshot.jobs_done);
  status.set_jobs_poisoned(snapshot.jobs_poisoned);
  status.set_jobs_leased(snapshot.jobs_leased);
  status.set_images_done(snapshot.images_done);
  status.set_jobs_expected(snapshot.jobs_expected);
  status.set_images_without_flips(snapshot.images_without_flips);
  status.set_images_copied(snapshot.images_copied);
  status.set_images_per_second(snapshot.images_per_second);
  status.set_eta_seconds(snapshot.eta_seconds);
  status.set_workers(snapshot.workers);
  status.set_cells(snapshot.cells);
  if (snapshot.has_worst) {
    v1::WorstCell* worst = status.mutable_worst_cell();
    worst->set_model(snapshot.worst.model);
    worst->set_format(snapshot.worst.format);
    worst->set_target(snapshot.worst.target);
    worst->set_ber(snapshot.worst.ber);
    worst->set_half_width(snapshot.worst.half_width);
  }
  status.set_submitted_unix_ms(snapshot.submitted_unix_ms);
  status.set_finished_unix_ms(snapshot.finished_unix_ms);
  for (const std::string& error : snapshot.poison_errors) {
    status.add_poison_errors(error);
  }
  return status;
}

v1::WorkerInfo ToProto(const WorkerSnapshot& worker) {
  v1::WorkerInfo info;
  info.set_worker_id(worker.identity.id);
  info.set_host(worker.identity.host);
  info.set_device_kind(worker.identity.device_kind);
  info.set_version(worker.identity.version);
  info.set_live(worker.live);
  info.set_leased_jobs(worker.leased_jobs);
  info.set_state(worker.quarantine.empty() ? "ready" : "quarantined");
  info.set_error(worker.quarantine);
  return info;
}

v1::CampaignInfo ToProto(const StoredCampaign& campaign) {
  v1::CampaignInfo info;
  info.set_resolved_json(campaign.resolved_json);
  info.set_server_version(kVersion);
  info.set_data_digest(campaign.data_digest);
  info.set_images(campaign.images);
  info.set_folds(campaign.folds);
  for (const StoredModel& model : campaign.models) {
    v1::ModelInfo* added = info.add_models();
    added->set_model(model.model);
    added->set_digest(model.digest);
    added->set_architecture(ArchitectureName(model.config_json));
    added->set_chunk(model.chunk);
  }
  for (const GoldenResult& golden : campaign.goldens) {
    v1::GoldenResult* added = info.add_goldens();
    added->set_model(golden.model);
    added->set_format(golden.format);
    added->set_images(golden.images);
    added->set_top1(golden.top1);
    added->set_top5(golden.top5);
    added->set_least_fold_top1(golden.least_fold_top1);
    added->set_most_fold_top1(golden.most_fold_top1);
    if (!golden.attention.sums.empty()) {
      *added->mutable_attention() = ToProto(golden.attention);
    }
  }
  for (const std::string& kind : campaign.device_kinds) {
    info.add_device_kinds(kind);
  }
  return info;
}

v1::CellResult ToProto(const CellResult& cell) {
  v1::CellResult result;
  result.set_model(cell.key.model);
  result.set_format(cell.key.format);
  result.set_fault(cell.key.fault);
  result.set_granularity(cell.key.granularity);
  result.set_target(cell.key.target);
  result.set_ber(cell.key.ber);
  result.set_bits(cell.bits);
  result.set_cell(cell.number);
  for (const TrialResult& trial : cell.trials) {
    v1::TrialResult* added = result.add_trials();
    added->set_trial(trial.trial);
    added->set_images(trial.images);
    added->set_top1(trial.top1);
    added->set_top5(trial.top5);
    added->set_golden_top1(trial.golden_top1);
    added->set_golden_top5(trial.golden_top5);
    added->set_sdc(trial.sdc);
    added->set_due(trial.due);
    added->set_flips(trial.flips);
    added->set_faults_digest(trial.faults_digest);
  }
  return result;
}

v1::TrialRecord ToProto(const TrialRecord& record) {
  v1::TrialRecord message;
  const TrialSetup& setup = record.setup;
  message.set_resolved_json(setup.resolved_json);
  message.set_data_digest(setup.data_digest);
  message.set_model(setup.model);
  message.set_model_digest(setup.model_digest);
  message.set_chunk(setup.chunk);
  message.set_format(setup.format);
  message.set_granularity_index(setup.granularity_index);
  message.set_target(setup.target);
  message.set_ber(setup.ber);
  message.set_fault(setup.fault);
  message.set_finished(record.finished);
  const TrialMeasurement& measured = record.measured;
  FillCounts(measured.sum, message.mutable_counts());
  message.set_flips(measured.flips);
  for (const int64_t flips : measured.flips_per_bit) {
    message.add_flips_per_bit(flips);
  }
  message.set_faults_digest(measured.faults_digest);
  for (const FoldMeasurement& fold : measured.folds) {
    v1::TrialFold* added = message.add_folds();
    added->set_fold(fold.fold);
    FillCounts(fold.counts, added->mutable_counts());
    added->set_right_to_wrong(fold.right_to_wrong);
    added->set_wrong_to_right(fold.wrong_to_right);
    added->set_digest(fold.digest);
    added->set_device_kind(fold.device_kind);
    added->set_golden_digest(fold.golden_digest);
    added->set_golden_device_kind(fold.golden_device_kind);
    added->set_correct(fold.correct.bytes());
    added->set_same(fold.same.bytes());
    added->set_attention_digest(fold.attention_digest);
  }
  return message;
}

v1::TrialHeads ToProto(const StoredAttention& stored) {
  v1::TrialHeads message;
  message.set_cell(stored.cell);
  message.set_trial(stored.trial);
  *message.mutable_attention() = ToProto(stored.distances);
  return message;
}

v1::FoldOutcome ToProto(const StoredFoldOutcome& outcome) {
  v1::FoldOutcome message;
  message.set_cell(outcome.cell);
  message.set_trial(outcome.trial);
  message.set_fold(outcome.fold);
  message.set_images(outcome.images);
  message.set_correct(outcome.correct);
  message.set_same(outcome.same);
  return message;
}

v1::Lease ToProto(const LeaseGrant& grant) {
  v1::Lease lease;
  lease.set_lease_id(grant.lease);
  lease.set_model(grant.model);
  lease.set_format(grant.format);
  v1::CampaignContext* campaign = lease.mutable_campaign();
  campaign->set_campaign_id(grant.campaign);
  campaign->set_resolved_json(grant.resolved_json);
  campaign->set_chunk(grant.chunk);
  campaign->set_data_digest(grant.data_digest);
  campaign->set_model_digest(grant.model_digest);
  lease.set_one_by_one(grant.one_by_one);
  switch (grant.kind) {
    case JobKind::kProbe:
      lease.mutable_probe()->set_job_id(grant.jobs.empty() ? 0 : grant.jobs.front().job);
      break;
    case JobKind::kGolden:
      lease.mutable_golden();
      for (const LeasedJob& job : grant.jobs) {
        v1::FoldJob* fold = lease.mutable_golden()->add_folds();
        fold->set_job_id(job.job);
        fold->set_fold(job.fold);
      }
      break;
    case JobKind::kTrials:
      lease.mutable_trials();
      for (const CellSpec& cell : grant.cells) {
        v1::CellSpec* spec = lease.mutable_trials()->add_cells();
        spec->set_cell_id(cell.cell);
        spec->set_granularity_index(cell.granularity_index);
        spec->set_target(cell.target);
        spec->set_ber(cell.ber);
        spec->set_fault(cell.fault);
      }
      for (const LeasedJob& job : grant.jobs) {
        v1::TrialJob* trial = lease.mutable_trials()->add_jobs();
        trial->set_job_id(job.job);
        trial->set_cell_id(job.cell);
        trial->set_trial(job.trial);
        trial->set_fold(job.fold);
      }
      break;
  }
  return lease;
}

WorkerIdentity FromProto(const v1::RegisterRequest& request) {
  return {request.worker_id(), request.instance(), request.host(), request.version(),
          request.device_kind()};
}

absl::StatusOr<Report> FromProto(const v1::OutcomeReport& message) {
  Report report;
  report.worker = message.worker_id();
  report.lease = message.lease_id();
  report.campaign = message.campaign_id();
  switch (message.report_case()) {
    case v1::OutcomeReport::kProbe: {
      const v1::ProbeReport& from = message.probe();
      ProbeOutcome probe;
      probe.job = from.job_id();
      probe.config_json = from.config_json();
      for (const v1::TensorShape& tensor : from.tensors()) {
        probe.tensors.push_back({tensor.name(), {tensor.shape().begin(), tensor.shape().end()}});
      }
      probe.model_digest = from.model_digest();
      probe.data_digest = from.data_digest();
      probe.images = from.images();
      probe.fold_sizes.assign(from.fold_sizes().begin(), from.fold_sizes().end());
      probe.chunk = from.chunk();
      report.body = std::move(probe);
      return report;
    }
    case v1::OutcomeReport::kGolden: {
      const v1::GoldenReport& from = message.golden();
      report.body = GoldenOutcomeReport{from.job_id(),
                                        from.images(),
                                        from.top1(),
                                        from.top5(),
                                        from.digest(),
                                        from.predictions(),
                                        from.seconds(),
                                        {from.image_numbers().begin(), from.image_numbers().end()},
                                        {from.labels().begin(), from.labels().end()},
                                        FromProto(from.attention())};
      return report;
    }
    case v1::OutcomeReport::kTrial: {
      const v1::TrialReport& from = message.trial();
      TrialOutcomeReport trial;
      trial.job = from.job_id();
      trial.images = from.images();
      trial.top1 = from.top1();
      trial.top5 = from.top5();
      trial.golden_top1 = from.golden_top1();
      trial.golden_top5 = from.golden_top5();
      trial.sdc = from.sdc();
      trial.right_to_wrong = from.right_to_wrong();
      trial.wrong_to_right = from.wrong_to_right();
      trial.due = from.due();
      trial.flips_wanted = from.flips_wanted();
      trial.flips = from.flips();
      trial.flips_per_bit.assign(from.flips_per_bit().begin(), from.flips_per_bit().end());
      trial.faults_digest = from.faults_digest();
      trial.golden_digest = from.golden_digest();
      trial.outcome_digest = from.outcome_digest();
      trial.inferences = from.inferences();
      trial.seconds = from.seconds();
      trial.correct = from.correct();
      trial.same = from.same();
      trial.attention = FromProto(from.attention());
      report.body = std::move(trial);
      return report;
    }
    case v1::OutcomeReport::kFailure: {
      const v1::FailureReport& from = message.failure();
      report.body = FailureReport{{from.job_ids().begin(), from.job_ids().end()},
                                  from.error(),
                                  from.permanent(),
                                  from.untrusted()};
      return report;
    }
    case v1::OutcomeReport::kLeaseEnd:
      report.body = LeaseEnd{message.lease_end().lost()};
      return report;
    case v1::OutcomeReport::kBegun:
      report.body = JobsBegun{{message.begun().job_ids().begin(), message.begun().job_ids().end()}};
      return report;
    case v1::OutcomeReport::REPORT_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("an outcome report without a report in it");
}

}  // namespace bitquake
