#include "client/cli/published.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/suggest.h"

namespace bitquake {
namespace {

constexpr absl::string_view kColumns =
    "model,dataset,images,side,crop_pct,interpolation,parameters,top1,source";

absl::StatusOr<PublishedFigure> ParseRow(absl::string_view line) {
  const std::vector<std::string> fields = absl::StrSplit(line, ',');
  PublishedFigure row;
  if (fields.size() != 9) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", fields.size(), " fields, should have 9: ", kColumns));
  }
  row.model = fields[0];
  row.dataset = fields[1];
  row.interpolation = fields[5];
  row.source = fields[8];
  if (!absl::SimpleAtoi(fields[2], &row.images) || row.images < 1 ||
      !absl::SimpleAtoi(fields[3], &row.side) || row.side < 1 ||
      !absl::SimpleAtod(fields[4], &row.crop_pct) || !(row.crop_pct > 0) ||
      !absl::SimpleAtoi(fields[6], &row.parameters) || row.parameters < 0 ||
      !absl::SimpleAtod(fields[7], &row.top1) || !(row.top1 >= 0 && row.top1 <= 100)) {
    return absl::InvalidArgumentError(
        "images, side, crop_pct, parameters and top1 should be numbers, top1 in percent");
  }
  return row;
}

}  // namespace

absl::StatusOr<std::vector<PublishedFigure>> ParsePublished(absl::string_view text,
                                                            const std::string& name) {
  std::vector<PublishedFigure> table;
  bool named_columns = false;
  int number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (line.empty() || absl::StartsWith(line, "#")) {
      continue;
    }
    if (!named_columns) {
      if (line != kColumns) {
        return absl::InvalidArgumentError(
            absl::StrCat(name, ":", number, ": should name the columns: ", kColumns));
      }
      named_columns = true;
      continue;
    }
    absl::StatusOr<PublishedFigure> row = ParseRow(line);
    if (!row.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ":", number, ": ", row.status().message()));
    }
    table.push_back(*std::move(row));
  }
  return table;
}

std::vector<PublishedFigure> FiguresOf(const std::string& model,
                                       const std::vector<PublishedFigure>& table) {
  std::vector<PublishedFigure> figures;
  for (const PublishedFigure& row : table) {
    if (row.model == model) {
      figures.push_back(row);
    }
  }
  return figures;
}

std::string LikelyModel(const std::string& model, const std::vector<PublishedFigure>& table) {
  std::vector<std::string> models;
  for (const PublishedFigure& row : table) {
    models.push_back(row.model);
  }
  return DidYouMean(model, models);
}

}  // namespace bitquake
