// Messages of the protocol, from a peer that says whatever it likes.
//
//   a byte that says what follows, then a message; or results: several, each behind its length
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/util/delimited_message_util.h>

#include <string>
#include <variant>

#include "absl/status/status.h"
#include "client/api/translate.h"
#include "common/campaign/campaign.h"
#include "common/model/surface.h"
#include "server/service/translate.h"
#include "tests/fuzz/input_bytes.h"
#include "tests/fuzz/must.h"

namespace bitquake {
namespace {

template <typename Message>
bool Parse(absl::string_view bytes, Message* message) {
  return message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

// A worker's to the coordinator.
void CheckReport(absl::string_view bytes) {
  v1::OutcomeReport message;
  if (!Parse(bytes, &message)) {
    return;
  }
  const absl::StatusOr<Report> report = FromProto(message);
  if (!report.ok()) {
    Must(absl::IsInvalidArgument(report.status()), "a refusal is the report's fault");
    return;
  }
  if (const auto* probe = std::get_if<ProbeOutcome>(&report->body)) {
    // It is in the store before it is looked at, and whoever asks for results gets it.
    StoredCampaign campaign;
    campaign.models.push_back({"m", probe->model_digest, probe->config_json, probe->chunk});
    Must(ToProto(campaign).models_size() == 1, "results name the model");
    const auto architecture = DeriveArchitecture(probe->config_json, probe->tensors);
    if (architecture.ok()) {
      MakeSurface(*architecture, probe->tensors).IgnoreError();
    }
  }
}

// The coordinator's to a client.
void CheckTrial(absl::string_view bytes) {
  v1::TrialRecord message;
  if (!Parse(bytes, &message)) {
    return;
  }
  const absl::StatusOr<TrialRecord> record = FromProto(message, /*trial=*/3);
  if (!record.ok()) {
    Must(absl::IsDataLoss(record.status()), "a refusal is the message's fault");
    return;
  }
  const absl::StatusOr<TrialRecord> again = FromProto(ToProto(*record), /*trial=*/3);
  Must(again.ok(), "what is sent again is read again");
  Must(Differences(record->measured, again->measured).empty(), "and is the same");
  const auto setup = TrialSetupFromJson(ToJson(record->setup));
  Must(setup.ok() && ToJson(*setup) == ToJson(record->setup), "a worker reads the trial");
  const auto measured = TrialMeasurementFromJson(ToJson(record->measured));
  Must(measured.ok() && Differences(record->measured, *measured).empty(), "and what was measured");
}

void CheckStatus(absl::string_view bytes) {
  v1::CampaignStatus message;
  if (Parse(bytes, &message)) {
    Must(!FromProto(message).state.empty(), "a campaign is in some state");
  }
}

void CheckResults(absl::string_view bytes) {
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const uint8_t*>(bytes.data()),
                                                static_cast<int>(bytes.size()));
  CampaignResults results;
  v1::ResultBatch batch;
  bool at_end = false;
  while (google::protobuf::util::ParseDelimitedFromCodedStream(&batch, &stream, &at_end)) {
    const absl::Status taken = TakeBatch(batch, results);
    if (!taken.ok()) {
      Must(absl::IsDataLoss(taken), "a refusal is the message's fault");
      return;
    }
  }
  if (!FillGoldens(results).ok()) {
    return;
  }
  Derivation derivation;
  derivation.resamples = 20;
  CellsCsv(results.cells, derivation);
  TrialsCsv(results.cells);
  ImagesCsv(results.cells);
  FoldsCsv(results.fold_members);
  MadCsv(results.status.name, results.goldens, results.cells);
  CellsTable(results.cells, derivation);
}

}  // namespace
}  // namespace bitquake

int bitquake::Fuzz(const uint8_t* data, size_t size) {
  InputBytes input(data, size);
  const int kind = input.Take<uint8_t>();
  const absl::string_view message = input.TakeBytes(size);
  switch (kind % 4) {
    case 0:
      CheckReport(message);
      break;
    case 1:
      CheckTrial(message);
      break;
    case 2:
      CheckStatus(message);
      break;
    case 3:
      CheckResults(message);
      break;
  }
  return 0;
}
