// Accuracies that others published for models, against which a model folder and a data set are
// checked: a table, published.csv, that the program carries. It says where each figure is from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bitquake {

struct PublishedFigure {
  std::string model;    // "vit_base_patch16_224.augreg_in21k_ft_in1k"
  std::string dataset;  // "imagenet-1k"
  int64_t images = 0;   // of the data set that the figure is of
  int side = 0;         // of the network's input, pixels
  double crop_pct = 0;
  std::string interpolation;
  int64_t parameters = 0;  // 0: the table does not say
  double top1 = 0;         // percent
  std::string source;      // "timm"
};

// The table that the program carries, as text.
absl::string_view PublishedTable();

// Reads a table of that form: lines that begin with # are comments, the first other names the
// columns. Errors: InvalidArgument, `name` and the line named.
absl::StatusOr<std::vector<PublishedFigure>> ParsePublished(absl::string_view text,
                                                            const std::string& name);

// The rows of a model.
std::vector<PublishedFigure> FiguresOf(const std::string& model,
                                       const std::vector<PublishedFigure>& table);

// "; did you mean ...?" of a model that has none, or nothing.
std::string LikelyModel(const std::string& model, const std::vector<PublishedFigure>& table);

}  // namespace bitquake
