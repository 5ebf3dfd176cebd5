#include "client/cli/progress_text.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/command.h"

namespace bitquake {
namespace {

constexpr absl::string_view kRed = "\x1b[31m";
constexpr absl::string_view kYellow = "\x1b[33m";
constexpr absl::string_view kGreen = "\x1b[32m";
constexpr absl::string_view kPlain = "\x1b[0m";

struct Part {
  std::string text;
  absl::string_view colour;  // empty: none
};

bool StartsCharacter(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

size_t Columns(absl::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), StartsCharacter));
}

size_t Columns(const std::vector<Part>& parts) {
  size_t columns = 0;
  for (const Part& part : parts) {
    columns += Columns(part.text) + (columns == 0 ? 0 : 2);
  }
  return columns;
}

// How much is said: each level is shorter than the one before.
enum class Level { kAll, kShortName, kShortUnits, kTargetOnly, kNoWorst, kNoWorkers, kCountsOnly };

absl::string_view StateColour(const CampaignStatus& status) {
  return status.state == "failed"    ? kRed
         : status.state == "done"    ? kGreen
         : status.state == "running" ? absl::string_view()
                                     : kYellow;
}

std::string Share(const CampaignStatus& status) {
  const int64_t all = std::max(status.jobs_total, status.jobs_expected);
  const int64_t settled = status.jobs_done + status.jobs_poisoned;
  return all > 0 ? absl::StrCat(" ", 100 * std::min(settled, all) / all, "%") : "";
}

void AddSpeed(const CampaignStatus& status, absl::Duration age, Level level,
              std::vector<Part>* parts) {
  const bool brief = level >= Level::kShortUnits;
  if (status.images_per_second > 0) {
    parts->push_back(
        {absl::StrFormat("%.0f %s", status.images_per_second, brief ? "img/s" : "images/s"), ""});
  }
  if (status.eta_seconds > 0) {
    const double left = std::max(1.0, status.eta_seconds - absl::ToDoubleSeconds(age));
    parts->push_back({DurationText(left) + " left", ""});
  }
  if (level < Level::kNoWorkers) {
    parts->push_back({absl::StrCat(status.workers, status.workers == 1 ? " worker" : " workers"),
                      status.workers == 0 ? kYellow : ""});
  }
}

std::vector<Part> PartsAt(const CampaignStatus& status, absl::Duration age, Level level) {
  constexpr size_t kShortName = 12;
  std::vector<Part> parts;
  // Who watches knows the name, but not where it is worst.
  if (level != Level::kTargetOnly || status.worst_cell.empty()) {
    parts.push_back(
        {level < Level::kShortName ? status.name : FitText(status.name, kShortName), ""});
  }
  if (status.state != "running") {
    parts.push_back({status.state, StateColour(status)});
  }
  if (status.state == "probing") {
    return parts;
  }
  parts.push_back({JobsText(status) + Share(status), ""});
  if (status.jobs_poisoned > 0) {
    parts.push_back({absl::StrCat(status.jobs_poisoned, " poisoned"), kRed});
  }
  if (level == Level::kCountsOnly) {
    return parts;
  }
  if (!status.ended()) {
    AddSpeed(status, age, level, &parts);
  }
  if (!status.worst_cell.empty() && level < Level::kNoWorst) {
    const std::string& cell = level < Level::kShortName    ? status.worst_cell
                              : level < Level::kTargetOnly ? status.worst_target_at
                                                           : status.worst_target;
    parts.push_back(
        {absl::StrCat("worst ", cell, absl::StrFormat(" +-%.2f pp", status.worst_half_width)), ""});
  }
  return parts;
}

std::string Joined(const std::vector<Part>& parts, bool colour) {
  std::string line;
  for (const Part& part : parts) {
    absl::StrAppend(&line, line.empty() ? "" : "  ");
    if (colour && !part.colour.empty()) {
      absl::StrAppend(&line, part.colour, part.text, kPlain);
    } else {
      line += part.text;
    }
  }
  return line;
}

}  // namespace

std::string FitText(absl::string_view text, size_t width) {
  constexpr absl::string_view kCut = "...";
  std::string fitted;
  const bool longer = Columns(text) > width;
  const size_t room = longer && width > kCut.size() ? width - kCut.size() : width;
  size_t columns = 0;
  for (const char c : text) {
    columns += StartsCharacter(c) ? 1 : 0;
    if (columns > room) {
      break;
    }
    fitted.push_back(absl::ascii_iscntrl(static_cast<unsigned char>(c)) ? ' ' : c);
  }
  return longer && width > kCut.size() ? absl::StrCat(fitted, kCut) : fitted;
}

std::string ProgressText(const CampaignStatus& status, absl::Duration age, size_t width,
                         bool colour) {
  std::vector<Part> parts;
  for (const Level level : {Level::kAll, Level::kShortName, Level::kShortUnits, Level::kTargetOnly,
                            Level::kNoWorst, Level::kNoWorkers, Level::kCountsOnly}) {
    parts = PartsAt(status, age, level);
    if (Columns(parts) <= width) {
      for (Part& part : parts) {
        part.text = FitText(part.text, width);  // without control characters
      }
      return Joined(parts, colour);
    }
  }
  return FitText(Joined(parts, /*colour=*/false), width);
}

}  // namespace bitquake
