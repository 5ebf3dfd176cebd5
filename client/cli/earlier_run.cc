#include "client/cli/earlier_run.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

// The fields of a line, as AppendCsvRow wrote them.
std::vector<std::string> CsvFields(absl::string_view line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back().push_back(c);
    }
  }
  return fields;
}

// Throws nlohmann::json::exception where a field is of another kind.
double Speed(const nlohmann::json& campaign) {
  const auto images = campaign.value("images", nlohmann::json::object());
  const double run =
      images.value("done", 0.0) - images.value("without_flips", 0.0) - images.value("copied", 0.0);
  const double milliseconds =
      campaign.value("finished_unix_ms", 0.0) - campaign.value("submitted_unix_ms", 0.0);
  return run > 0 && milliseconds > 0 ? 1000.0 * run / milliseconds : 0;
}

std::vector<double> Deviations(const std::string& cells) {
  const std::vector<absl::string_view> lines = absl::StrSplit(cells, '\n', absl::SkipEmpty());
  std::vector<double> deviations;
  size_t column = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::vector<std::string> fields = CsvFields(lines[i]);
    if (i == 0) {
      column =
          static_cast<size_t>(std::find(fields.begin(), fields.end(), "top1_std") - fields.begin());
    } else if (double deviation = 0;
               column < fields.size() && absl::SimpleAtod(fields[column], &deviation)) {
      deviations.push_back(deviation);
    }
  }
  std::sort(deviations.begin(), deviations.end());
  return deviations;
}

}  // namespace

absl::StatusOr<EarlierRun> ReadEarlierRun(const std::string& folder) {
  const auto text = ReadFile(folder + "/campaign.json");
  const auto cells = ReadFile(folder + "/cells.csv");
  if (!text.ok() || !cells.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--like ", folder, ": ",
                                                   (text.ok() ? cells : text).status().message(),
                                                   "; give the directory of a run that is done"));
  }
  const auto campaign = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  try {
    if (campaign.is_object()) {
      return EarlierRun{folder, Speed(campaign), Deviations(*cells)};
    }
  } catch (const nlohmann::json::exception&) {
    // Told below.
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--like ", folder, ": campaign.json is not that of a run"));
}

}  // namespace bitquake
