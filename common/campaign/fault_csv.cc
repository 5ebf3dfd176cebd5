#include "common/campaign/fault_csv.h"

#include <cstdint>
#include <limits>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/shown.h"
#include "common/base/status_macros.h"
#include "common/campaign/document.h"
#include "common/campaign/scalar.h"

namespace bitquake {
namespace {

constexpr absl::string_view kHeader = "tensor,index,bit";
constexpr int kMaxBit = 31;

absl::Status Refuse(int line, absl::string_view message) {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", message));
}

// Digits only: no sign, no blanks.
bool ReadNatural(absl::string_view text, int64_t max, int64_t* value) {
  for (const char c : text) {
    if (!absl::ascii_isdigit(c)) {
      return false;
    }
  }
  return absl::SimpleAtoi(text, value) && *value <= max;
}

absl::StatusOr<FaultModel::ListedBit> ParseLine(absl::string_view text, int line) {
  const std::vector<absl::string_view> fields = absl::StrSplit(text, ',');
  if (fields.size() != 3) {
    return Refuse(line, absl::StrCat("'", Shown(text), "' has ", fields.size(),
                                     " fields; expected three, ", kHeader));
  }
  if (fields[0].empty() || HasControlCharacter(fields[0]) ||
      fields[0].find_first_of("\"\\") != absl::string_view::npos) {
    return Refuse(line, absl::StrCat("'", Shown(fields[0]),
                                     "' is not a tensor's name; give it as in the checkpoint, "
                                     "without quotes"));
  }
  FaultModel::ListedBit listed;
  listed.tensor = std::string(fields[0]);
  if (!ReadNatural(fields[1], std::numeric_limits<int64_t>::max(), &listed.index)) {
    return Refuse(line, absl::StrCat("index '", Shown(fields[1]),
                                     "' is not a whole number; words count from 0, row-major"));
  }
  int64_t bit = 0;
  if (!ReadNatural(fields[2], kMaxBit, &bit)) {
    return Refuse(
        line, absl::StrCat("bit '", Shown(fields[2]), "' is not a whole number from 0 to ", kMaxBit,
                           "; 0 is the least significant"));
  }
  listed.bit = static_cast<int>(bit);
  return listed;
}

}  // namespace

absl::StatusOr<std::vector<FaultModel::ListedBit>> ParseFaultCsv(absl::string_view csv) {
  if (csv.size() > kMaxFaultCsvBytes) {
    return absl::InvalidArgumentError(absl::StrCat("has ", csv.size(), " bytes; at most ",
                                                   kMaxFaultCsvBytes,
                                                   " are allowed; split the list over campaigns"));
  }
  absl::ConsumeSuffix(&csv, "\n");
  std::vector<FaultModel::ListedBit> list;
  std::map<std::tuple<absl::string_view, int64_t, int>, int> first_line;
  int line = 0;
  for (absl::string_view text : absl::StrSplit(csv, '\n')) {
    ++line;
    absl::ConsumeSuffix(&text, "\r");
    if (line == 1) {
      if (text != kHeader) {
        return Refuse(line,
                      absl::StrCat("expected the header ", kHeader, ", found '", Shown(text), "'"));
      }
      continue;
    }
    ASSIGN_OR_RETURN(FaultModel::ListedBit listed, ParseLine(text, line));
    const absl::string_view tensor = text.substr(0, listed.tensor.size());
    const auto [twin, fresh] =
        first_line.emplace(std::tuple(tensor, listed.index, listed.bit), line);
    if (!fresh) {
      return Refuse(line, absl::StrCat("repeats the bit of line ", twin->second));
    }
    list.push_back(std::move(listed));
  }
  if (list.empty()) {
    return Refuse(line, "lists no fault; expected a line tensor,index,bit for each");
  }
  return list;
}

std::string ToFaultCsv(const std::vector<FaultModel::ListedBit>& list) {
  std::string csv = absl::StrCat(kHeader, "\n");
  for (const FaultModel::ListedBit& listed : list) {
    absl::StrAppend(&csv, listed.tensor, ",", listed.index, ",", listed.bit, "\n");
  }
  return csv;
}

std::string FaultCsvPattern() {
  return absl::StrCat("^", kHeader,
                      "(\\r?\\n[^,\"\\\\\\u0000-\\u001f\\u007f-\\u009f]+,0*[0-9]{1,19},"
                      "0*([0-9]|[12][0-9]|3[01]))+(\\r?\\n)?$");
}

}  // namespace bitquake
