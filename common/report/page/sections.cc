#include "common/report/page/sections.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace bitquake {
namespace {

using RowFilter = std::function<bool(const FigureTable& table, size_t row)>;

bool AnyRow(const FigureTable&, size_t) { return true; }

RowFilter OfGranularity(const std::string& granularity) {
  return [granularity](const FigureTable& table, size_t row) {
    return TextOf(table, row, "granularity") == granularity;
  };
}

bool IsRanked(const FigureTable& table, size_t row) { return !TextOf(table, row, "rank").empty(); }

bool HasHeads(const FigureTable& table, size_t row) { return TextOf(table, row, "heads") != "0"; }

bool HasRate(const FigureTable& table, size_t row) { return TextOf(table, row, "ber") != "0"; }

const std::vector<HtmlColumn> kVariant = {
    {"model", "model"}, {"format", "format"}, {"fault", "fault"}, {"target", "target"}};

std::vector<HtmlColumn> WithVariant(const std::vector<HtmlColumn>& more) {
  std::vector<HtmlColumn> columns = kVariant;
  columns.insert(columns.end(), more.begin(), more.end());
  return columns;
}

const std::vector<HtmlColumn> kLosses = {{"ber", "BER"},
                                         {"trials", "trials"},
                                         {"top1_mean", "top-1 %"},
                                         {"ci_low", "interval from"},
                                         {"ci_high", "to"},
                                         {"loss_mean", "loss pp"},
                                         {"vf", "VF"}};

struct Kind {
  Section section;  // but for rows
  RowFilter filter;
};

std::vector<Kind> Kinds() {
  return {
      {{"golden",
        "Accuracy without faults",
        "Top-1 and top-5 accuracy of each model in each format, on all images of the campaign.",
        "golden",
        {{"model", "model"},
         {"format", "format"},
         {"images", "images"},
         {"top1", "top-1 %"},
         {"top5", "top-5 %"}},
        "campaign.json",
        {},
        "no accuracy without faults is known yet"},
       AnyRow},
      {{"accuracy",
        "Accuracy against bit-error rate",
        "Mean top-1 accuracy over trials; the band is its confidence interval, the dotted line the "
        "accuracy without faults.",
        "cells",
        WithVariant(kLosses),
        "cells.csv",
        {},
        "no cell with a bit-error rate has a finished trial"},
       HasRate},
      {{"blocks",
        "Blocks and bit-error rates",
        "Mean loss of top-1 accuracy, in percentage points, when one block is hit.",
        "cells",
        WithVariant(kLosses),
        "cells.csv",
        {},
        "it needs cells of granularity `block`"},
       OfGranularity("block")},
      {{"tensors",
        "Tensors and blocks",
        "Mean loss of top-1 accuracy, in percentage points, when one tensor is hit. Tensors "
        "outside "
        "of blocks are the column at the right.",
        "cells",
        WithVariant(kLosses),
        "cells.csv",
        {},
        "it needs cells of granularity `tensor`"},
       OfGranularity("tensor")},
      {{"types",
        "Q, K and V",
        "Mean loss when the query, key or value weights are hit, of all blocks or of each.",
        "cells",
        WithVariant(kLosses),
        "cells.csv",
        {},
        "it needs cells of granularity `type`"},
       OfGranularity("type")},
      {{"heads",
        "Heads and blocks",
        "Vulnerability factor (VF) of each attention head: its loss / the mean loss of the other "
        "heads of its block; 1 in a homogeneous model. Empty where the others lose nothing.",
        "cells",
        WithVariant(kLosses),
        "cells.csv",
        {},
        "it needs cells of granularity `head`"},
       OfGranularity("head")},
      {{"mad",
        "Vulnerability against attention distance",
        "A point for each head: its VF with interval, against its mean attention distance without "
        "faults; rho is Spearman's rank correlation.",
        "mad_vf",
        {{"model", "model"},
         {"format", "format"},
         {"fault", "fault"},
         {"target", "heads"},
         {"ber", "BER"},
         {"mad", "distance"},
         {"heads", "number"},
         {"rho", "rho"},
         {"ci_low", "interval from"},
         {"ci_high", "to"},
         {"p_value", "p"}},
        "mad_vf.csv",
        {},
        "it needs cells of granularity `head` and `attention_distance` in the campaign"},
       HasHeads},
      {{"thresholds",
        "Thresholds",
        "log10 of the bit-error rate at which the mean loss of a target reaches a limit, with its "
        "interval. inf: not reached on this grid; -inf: below the grid; nothing is extrapolated.",
        "thresholds",
        WithVariant({{"loss_pp", "loss pp"},
                     {"log10_ber", "log10 BER"},
                     {"ci_low", "interval from"},
                     {"ci_high", "to"}}),
        "thresholds.csv",
        {},
        "it needs a target with two bit-error rates or more"},
       AnyRow},
      {{"bits",
        "Bit positions",
        "Mean loss when only bits of one position are hit; 0 is the least significant.",
        "bits",
        WithVariant({{"bit", "bit"},
                     {"ber", "BER"},
                     {"trials", "trials"},
                     {"loss_mean", "loss pp"},
                     {"ci_low", "interval from"},
                     {"ci_high", "to"},
                     {"loss_per_flip", "pp a flip"},
                     {"share", "share %"}}),
        "bits.csv",
        {},
        "it needs cells of granularity `bit`, or `bits: each`"},
       AnyRow},
      {{"ranking",
        "Most fragile targets",
        "Targets of a kind by their mean loss at one bit-error rate, the most fragile at the top, "
        "with the interval of the loss.",
        "cells",
        WithVariant({{"ber", "BER"},
                     {"rank", "rank"},
                     {"rank_low", "interval from"},
                     {"rank_high", "to"},
                     {"loss_mean", "loss pp"},
                     {"loss_per_mbit", "pp a Mbit"},
                     {"vf", "VF"}}),
        "cells.csv",
        {},
        "it needs two targets of a kind at one bit-error rate"},
       IsRanked},
      {{"costs",
        "What it took",
        "Images that trials were evaluated on, and how many of them had to be run through the "
        "network: a trial without a flip, or with the flips of another, is known without.",
        "costs",
        {{"model", "model"},
         {"format", "format"},
         {"fault", "fault"},
         {"granularity", "granularity"},
         {"cells", "cells"},
         {"trials", "trials"},
         {"images", "images"},
         {"inferences", "inferences"}},
        "cells.csv",
        {},
        "no trial is finished"},
       AnyRow},
  };
}

}  // namespace

std::vector<Section> Sections(const std::vector<NamedTable>& tables) {
  std::vector<Section> sections;
  for (Kind& kind : Kinds()) {
    const FigureTable& table = TableNamed(tables, kind.section.table);
    for (size_t row = 0; row < table.rows.size(); ++row) {
      if (kind.filter(table, row)) {
        kind.section.rows.push_back(row);
      }
    }
    if (!kind.section.rows.empty()) {
      kind.section.absent.clear();
    }
    sections.push_back(std::move(kind.section));
  }
  return sections;
}

}  // namespace bitquake
