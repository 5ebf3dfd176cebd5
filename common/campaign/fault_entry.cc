#include "common/campaign/fault_entry.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/shown.h"
#include "common/campaign/fault_csv.h"
#include "common/campaign/protection_entry.h"
#include "common/campaign/scalar.h"

namespace bitquake {
namespace {

using Kind = FaultModel::Kind;
using Sampling = FaultModel::Sampling;

constexpr std::array kKinds = {Kind::kBitFlip, Kind::kStuckAt0, Kind::kStuckAt1,
                               Kind::kBurst,   Kind::kWord,     Kind::kList};

Kind KindFromName(const std::string& name) {
  return *std::find_if(kKinds.begin(), kKinds.end(), [&name](Kind kind) {
    FaultModel fault;
    fault.kind = kind;
    return fault.Name() == name;
  });
}

// The value of the member; null if the node is no map or has none.
Node* FindIn(Node* node, absl::string_view key) {
  for (Member& member : node->members) {
    if (member.key == key) {
      return &member.value;
    }
  }
  return nullptr;
}

}  // namespace

FaultModel FaultFromJson(const Json& fault) {
  FaultModel model;
  if (fault.is_string()) {
    model.kind = KindFromName(fault.get<std::string>());
    return model;
  }
  if (fault.contains("burst")) {
    model.kind = Kind::kBurst;
    model.burst_length = fault.at("burst").get<int>();
    return model;
  }
  if (fault.contains("list")) {
    model.kind = Kind::kList;
    return model;
  }
  model.kind = KindFromName(fault.at("kind").get<std::string>());
  if (fault.contains("count")) {
    model.sampling = Sampling::kCount;
    model.count = fault.at("count").get<int64_t>();
  } else if (fault.contains("sampling")) {
    model.sampling = fault.at("sampling") == "exact" ? Sampling::kExact : Sampling::kBernoulli;
  }
  if (fault.contains("length")) {
    model.burst_length = fault.at("length").get<int>();
  }
  if (fault.contains("bits")) {
    model.positions = fault.at("bits").get<std::vector<int>>();
    std::sort(model.positions.begin(), model.positions.end());
  }
  if (fault.contains("protection")) {
    model.protection = ProtectionFromJson(fault.at("protection"));
  }
  if (fault.contains("protect")) {
    model.protect = ProtectedFromJson(fault.at("protect"));
  }
  if (fault.contains("faults")) {
    model.list = ParseFaultCsv(fault.at("faults").get<std::string>()).value_or(model.list);
  }
  return model;
}

Json ToJson(const FaultModel& fault) {
  Json json = {{"kind", fault.Name()}};
  switch (fault.kind) {
    case Kind::kBitFlip:
    case Kind::kStuckAt0:
    case Kind::kStuckAt1:
      if (fault.sampling == Sampling::kCount) {
        json["count"] = fault.count;
      } else {
        json["sampling"] = fault.sampling == Sampling::kExact ? "exact" : "bernoulli";
      }
      if (!fault.positions.empty()) {
        json["bits"] = fault.positions;
      }
      break;
    case Kind::kBurst:
      json["length"] = fault.burst_length;
      break;
    case Kind::kWord:
      break;
    case Kind::kList:
      json["faults"] = ToFaultCsv(fault.list);
      break;
  }
  if (fault.protection.scheme != Protection::Scheme::kNone) {
    json["protection"] = ToJson(fault.protection);
  }
  if (!fault.protect.empty()) {
    json["protect"] = ToJson(fault.protect);
  }
  return json;
}

std::vector<FaultModel> FaultsFromJson(const Json& faults) {
  std::vector<FaultModel> models;
  for (const Json& fault : faults.is_array() ? faults : Json::array({faults})) {
    models.push_back(FaultFromJson(fault));
  }
  return models;
}

Json ToJson(const std::vector<FaultModel>& faults) {
  if (faults.size() == 1) {
    return ToJson(faults.front());
  }
  Json json = Json::array();
  for (const FaultModel& fault : faults) {
    json.push_back(ToJson(fault));
  }
  return json;
}

bool HaveBer(const std::vector<FaultModel>& faults) {
  return std::any_of(faults.begin(), faults.end(),
                     [](const FaultModel& fault) { return fault.HasBer(); });
}

namespace {

// Of the fault model `fault`, which stands at `path`.
void InlineFile(const FaultFileReader& read, const std::string& path, Node* fault,
                Problems* problems) {
  const Node* const kind = FindIn(fault, "kind");
  const bool by_kind =
      kind != nullptr && kind->text == "list" && FindIn(fault, "faults") == nullptr;
  const std::string field = by_kind ? "file" : "list";
  Node* const file = FindIn(fault, field);
  if (file == nullptr || file->kind != Node::Kind::kText || (kind != nullptr && !by_kind)) {
    return;  // no list, or one that the schema refuses
  }
  const auto refuse = [&](absl::string_view message) {
    problems->Add(file->at, absl::StrCat(path, ".", field, ": ", message));
  };
  if (!read) {
    refuse(
        "a file is read by the client, and not here; give its text as {kind: list, faults: "
        "\"tensor,index,bit\\n...\"}");
    return;
  }
  absl::StatusOr<std::string> csv = read(file->text);
  if (!csv.ok()) {
    refuse(absl::StrCat(csv.status().message(),
                        "; give a CSV file of tensor,index,bit, by its name from the campaign's"));
    return;
  }
  if (const auto list = ParseFaultCsv(*csv); !list.ok()) {
    refuse(absl::StrCat("'", Shown(file->text), "': ", list.status().message()));
    return;
  }
  Node faults = TextNode(*csv);
  faults.at = file->at;
  for (Member& member : fault->members) {
    if (member.key == field) {
      member.key = "faults";
      member.value = std::move(faults);
      break;
    }
  }
  if (!by_kind) {
    fault->members.push_back({"kind", fault->at, TextNode("list")});
  }
}

}  // namespace

void InlineFaultFile(const FaultFileReader& read, Node* campaign, Problems* problems) {
  Node* const fault = FindIn(campaign, "fault");
  if (fault == nullptr) {
    return;
  }
  InlineFile(read, "fault", fault, problems);
  for (size_t i = 0; i < fault->items.size(); ++i) {
    InlineFile(read, absl::StrCat("fault[", i, "]"), &fault->items[i], problems);
  }
}

}  // namespace bitquake
