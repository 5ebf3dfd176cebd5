// `fault:` as checked JSON, and back.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/campaign/document.h"
#include "common/fault/fault_model.h"

namespace bitquake {

// "bit_flip", {"kind": "burst", "length": 4}, {"kind": "list", "faults": "tensor,index,bit\n..."}.
// `fault` has passed the schema; of a list that is still a file's name, no fault is there.
FaultModel FaultFromJson(const Json& fault);
Json ToJson(const FaultModel& fault);

// One of them, or a list of several.
std::vector<FaultModel> FaultsFromJson(const Json& faults);
Json ToJson(const std::vector<FaultModel>& faults);

// Whether any depends on a bit-error rate.
bool HaveBer(const std::vector<FaultModel>& faults);

// Reads a file of faults that a campaign file names.
using FaultFileReader = std::function<absl::StatusOr<std::string>(const std::string& name)>;

// Puts the faults of each file that a campaign's `fault: {kind: list, file: faults.csv}` (or {list:
// faults.csv}) names in its place: {kind: list, faults: "tensor,index,bit\n..."}. Problems: a file
// that cannot be read or is not a list of faults; any file, if there is no reader.
void InlineFaultFile(const FaultFileReader& read, Node* campaign, Problems* problems);

}  // namespace bitquake
