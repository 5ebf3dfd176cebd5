#include "client/cli/golden_check.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace bitquake {
namespace {

using Verdict = Check::Verdict;

std::string PreprocessingText(int side, double crop_pct, const std::string& interpolation) {
  return absl::StrFormat("%d pixels, crop %g, %s", side, crop_pct, interpolation);
}

std::string ImageCounts(const std::vector<PublishedFigure>& rows) {
  return absl::StrJoin(rows, " or ", [](std::string* out, const PublishedFigure& row) {
    absl::StrAppend(out, row.images);
  });
}

}  // namespace

Check CheckGolden(const std::string& model, const Preprocessing& preprocessing,
                  const GoldenMeasured& measured, const std::vector<PublishedFigure>& table,
                  const std::string& figures) {
  Check check = {absl::StrCat("golden ", model), Verdict::kGood, "", ""};
  const double top1 = measured.images == 0 ? 0
                                           : 100 * static_cast<double>(measured.top1) /
                                                 static_cast<double>(measured.images);
  check.finding = absl::StrFormat("top-1 %.3f%% of %d images in fp32", top1, measured.images);
  const std::vector<PublishedFigure> rows = FiguresOf(model, table);
  if (rows.empty()) {
    check.verdict = Verdict::kWarning;
    absl::StrAppend(&check.finding, "; ", figures, " has no figure for this name",
                    LikelyModel(model, table));
    check.remedy =
        "name the folder as the model is published, or give a table of figures: --golden FILE";
    return check;
  }
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const PublishedFigure& candidate) {
    return candidate.images == measured.images;
  });
  if (row == rows.end()) {
    check.verdict = Verdict::kBad;
    absl::StrAppend(&check.finding, "; the published figure is of ", ImageCounts(rows));
    check.remedy = absl::StrCat("complete the data set: bitquake fetch-help ", model);
    return check;
  }
  absl::StrAppendFormat(&check.finding, ", published %.3f%% (%s)", row->top1, row->source);
  const std::string here =
      PreprocessingText(preprocessing.width, preprocessing.crop_pct, preprocessing.interpolation);
  const std::string there = PreprocessingText(row->side, row->crop_pct, row->interpolation);
  if (here != there) {
    check.verdict = Verdict::kBad;
    absl::StrAppend(&check.finding, "; config.json prepares images otherwise: ", here, ", not ",
                    there);
    check.remedy = absl::StrCat("fetch config.json again: bitquake fetch-help ", model);
  } else if (std::abs(top1 - row->top1) > kGoldenTolerancePp + 1e-9) {
    check.verdict = Verdict::kBad;
    absl::StrAppendFormat(&check.finding, "; %+.3f pp is more than %.2f", top1 - row->top1,
                          kGoldenTolerancePp);
    check.remedy = absl::StrCat(
        "weights, images or the order of classes are not those of the figure; compare the files: "
        "bitquake fetch-help ",
        model);
  }
  return check;
}

}  // namespace bitquake
