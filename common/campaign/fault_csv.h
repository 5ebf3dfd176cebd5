// A list of faulty bits as CSV: what a beam test or another tool found, to be replayed.
//
//   tensor,index,bit
//   blocks.3.mlp.fc1.weight,1027,7
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/fault/fault_model.h"

namespace bitquake {

// About 15,000 faults with names of ordinary length. The resolved campaign, of which the list is a
// part, must stay below kMaxCampaignFileBytes however its line ends are escaped.
inline constexpr size_t kMaxFaultCsvBytes = 512 << 10;

// Names are as in the checkpoint and stand unquoted; lines end in LF or CRLF. Errors:
// InvalidArgument that names the line: no header, no fault, a field that is missing or out of
// range, a bit listed twice.
absl::StatusOr<std::vector<FaultModel::ListedBit>> ParseFaultCsv(absl::string_view csv);

// ParseFaultCsv of it gives the same list.
std::string ToFaultCsv(const std::vector<FaultModel::ListedBit>& list);

// An ECMAScript pattern of what ParseFaultCsv takes, but for repeats.
std::string FaultCsvPattern();

}  // namespace bitquake
