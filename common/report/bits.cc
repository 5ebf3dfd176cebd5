#include "common/report/bits.h"

#include <cmath>
#include <limits>
#include <map>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/shown.h"
#include "common/report/cell_summary.h"
#include "common/report/siblings.h"
#include "common/report/terminal_table.h"

namespace bitquake {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();

struct PositionedCell {
  const CellResult* cell;
  const CellSummary* summary;
};

// The positions of one target at one rate.
struct Word {
  std::string target;
  std::map<int, PositionedCell> positions;
};

std::vector<Word> WordsOf(const std::vector<CellResult>& cells,
                          const std::vector<CellSummary>& summaries) {
  std::vector<Word> words;
  std::unordered_map<std::string, size_t> known;
  for (size_t i = 0; i < cells.size(); ++i) {
    const CellKey& key = cells[i].key;
    const PositionedTarget target = SplitPosition(key);
    if (target.position < 0 || cells[i].trials.empty()) {
      continue;
    }
    const std::string word = absl::StrJoin({key.campaign, key.model, key.format, key.fault,
                                            key.granularity, target.whole, FormatNumber(key.ber)},
                                           "\n");
    const auto [at, is_new] = known.emplace(word, words.size());
    if (is_new) {
      words.push_back({target.whole, {}});
    }
    words[at->second].positions[target.position] = {&cells[i], &summaries[i]};
  }
  return words;
}

// NaN unless positive beyond the rounding of its sum: losses that cancel are no divisor.
double TotalLoss(const Word& word) {
  constexpr double kRounding = 1e-12;
  double sum = 0;
  double magnitude = 0;
  for (const auto& [position, at] : word.positions) {
    sum += at.summary->loss_mean;
    magnitude += std::fabs(at.summary->loss_mean);
  }
  return sum > kRounding * magnitude ? sum : kUndefined;
}

double LossPerFlip(const CellSummary& summary) {
  return summary.flips_mean > 0 ? summary.loss_mean / summary.flips_mean : kUndefined;
}

// Calls `visit` for each position of each word, with its share of the word's loss in percent.
template <typename Visit>
void ForEachBit(const std::vector<CellResult>& cells, const Visit& visit) {
  const std::vector<CellSummary> summaries = Summarize(cells);
  for (const Word& word : WordsOf(cells, summaries)) {
    const double total = TotalLoss(word);
    for (const auto& [position, at] : word.positions) {
      visit(word, position, *at.cell, *at.summary, 100 * at.summary->loss_mean / total);
    }
  }
}

}  // namespace

FigureTable BitFigures(const std::vector<CellResult>& cells) {
  FigureTable table;
  table.columns = {"campaign", "model",   "format",        "fault",  "granularity", "target",
                   "bit",      "bits",    "ber",           "trials", "flips_mean",  "loss_mean",
                   "ci_low",   "ci_high", "loss_per_flip", "share"};
  ForEachBit(cells, [&](const Word& word, int position, const CellResult& cell,
                        const CellSummary& s, double share) {
    const CellKey& key = cell.key;
    table.rows.push_back({key.campaign, key.model, key.format, key.fault, key.granularity,
                          word.target, int64_t{position}, cell.bits, key.ber, s.trials,
                          s.flips_mean, s.loss_mean, s.golden_top1 - s.ci_high,
                          s.golden_top1 - s.ci_low, LossPerFlip(s), share});
  });
  return table;
}

std::string BitsTable(const std::vector<CellResult>& cells) {
  std::vector<std::vector<std::string>> rows = {{"model", "format", "granularity", "target", "BER",
                                                 "bit", "loss pp", "interval", "pp a flip",
                                                 "share %"}};
  ForEachBit(cells, [&](const Word& word, int position, const CellResult& cell,
                        const CellSummary& s, double share) {
    const CellKey& key = cell.key;
    const double per_flip = LossPerFlip(s);
    rows.push_back({Printable(key.model), Printable(key.format), Printable(key.granularity),
                    Printable(word.target), absl::StrFormat("%.2e", key.ber),
                    absl::StrCat(position), Fixed(s.loss_mean),
                    FixedInterval(s.golden_top1 - s.ci_high, s.golden_top1 - s.ci_low),
                    std::isnan(per_flip) ? "-" : absl::StrFormat("%.2e", per_flip), Fixed(share)});
  });
  return rows.size() == 1 ? ""
                          : absl::StrCat("Loss by bit position, 0 the least significant:\n",
                                         Aligned(rows, /*text_columns=*/4));
}

}  // namespace bitquake
