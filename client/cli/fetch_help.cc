#include <iostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/command.h"
#include "client/cli/golden_check.h"
#include "client/cli/published.h"
#include "common/base/status_macros.h"
#include "common/model/family.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kImageNetImages = 50'000;
constexpr int kImageNetClasses = 1'000;

// "vit_base_patch16_224" of "vit_base_patch16_224.augreg_in21k_ft_in1k".
std::string ArchitectureOf(const std::string& model) { return model.substr(0, model.find('.')); }

bool ComesAsCode(const std::string& model) {
  return FamilyOf(ArchitectureOf(model)).family == Family::kTorchScript;
}

// timm trains no such network.
bool IsTimms(const std::string& model) {
  return !absl::StartsWith(model, "deepvit_") && !absl::EndsWith(model, ".fashion_mnist");
}

struct WantedFile {
  std::string name;
  std::string what;
};

std::vector<WantedFile> ModelFiles(const std::string& model) {
  std::vector<WantedFile> files = {
      {"config.json", "architecture, input size, crop, filter, mean and standard deviation"},
      {"model.safetensors", "the weights (pytorch_model.bin is not read)"}};
  if (ComesAsCode(model)) {
    files.push_back({"model.ts",
                     "the network as TorchScript, traced or scripted in fp32, its tensors those of "
                     "model.safetensors; run it with --allow-torchscript"});
  }
  return files;
}

Json ToJson(const PublishedFigure& row) {
  return {{"dataset", row.dataset},
          {"images", row.images},
          {"side", row.side},
          {"crop_pct", row.crop_pct},
          {"interpolation", row.interpolation},
          {"top1", row.top1},
          {"source", row.source}};
}

void PrintJson(const std::string& model, const std::vector<PublishedFigure>& figures) {
  Json files = Json::array();
  for (const WantedFile& file : ModelFiles(model)) {
    files.push_back(file.name);
  }
  Json published = Json::array();
  for (const PublishedFigure& row : figures) {
    published.push_back(ToJson(row));
  }
  Json all = {{"model", model}, {"files", files}, {"published", published}};
  if (IsTimms(model)) {
    all["hub_repository"] = absl::StrCat("timm/", model);
  }
  std::cout << all.dump(2) << "\n";
}

std::string FigureText(const PublishedFigure& row) {
  return absl::StrFormat("  %.3f%% of %s's %d images, at %d pixels, crop %g, %s (source: %s)\n",
                         row.top1, row.dataset, row.images, row.side, row.crop_pct,
                         row.interpolation, row.source);
}

std::string ModelText(const std::string& model) {
  std::string text = absl::StrCat("model: a folder ", model, " below a model root");
  if (IsTimms(model)) {
    absl::StrAppend(&text, ", with these files of hub repository timm/", model);
  }
  absl::StrAppend(&text, ":\n");
  for (const WantedFile& file : ModelFiles(model)) {
    absl::StrAppendFormat(&text, "  %-18s %s\n", file.name, file.what);
  }
  if (IsTimms(model)) {
    absl::StrAppend(&text, "  hf download timm/", model,
                    " config.json model.safetensors --local-dir models/", model, "\n");
  }
  if (ComesAsCode(model) && IsTimms(model)) {
    absl::StrAppend(
        &text, "  python3 -c \"import timm, torch; m = timm.create_model('", model,
        "', pretrained=True).eval(); torch.jit.trace(m, torch.zeros(1, 3, 224, 224)).save('models/",
        model, "/model.ts')\"\n");
  }
  return text;
}

std::string ImageNetText() {
  return absl::StrCat(
      "data set: a folder imagenet-1k below a data root, ImageNet's validation images in one of "
      "two "
      "forms:\n"
      "  1. of hub data set timm/imagenet-1k-wds (accept its terms first), 64 tars and their "
      "list:\n"
      "     _info.json         the split `validation`: filenames, shard_lengths, num_samples\n"
      "     imagenet1k-validation-00.tar to imagenet1k-validation-63.tar\n"
      "                        in each, NAME.jpg and NAME.cls (the class, 0 to 999) for each "
      "image\n"
      "     hf download timm/imagenet-1k-wds --repo-type dataset --include _info.json "
      "'imagenet1k-validation-*' --local-dir data/imagenet-1k\n"
      "  2. ",
      kImageNetClasses,
      " class folders, in the folder itself or below validation or val, in the order of their "
      "names:\n"
      "     n01440764/ILSVRC2012_val_00000293.JPEG ... n15075141/ILSVRC2012_val_00049174.JPEG\n"
      "  either has ",
      kImageNetImages, " images, ", kImageNetImages / kImageNetClasses, " of each class\n");
}

absl::Status FetchHelp(const std::string& model, bool json) {
  ASSIGN_OR_RETURN(const std::vector<PublishedFigure> table,
                   ParsePublished(PublishedTable(), "published.csv"));
  if (model.empty() || absl::StrContains(model, '/')) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", model, "' is no model's name; give one as timm has it, ", table[0].model));
  }
  const std::vector<PublishedFigure> figures = FiguresOf(model, table);
  if (json) {
    PrintJson(model, figures);
    return absl::OkStatus();
  }
  std::cout << ModelText(model);
  if (IsTimms(model) || figures.empty() || figures[0].dataset == "imagenet-1k") {
    std::cout << ImageNetText();
  }
  std::cout << "published top-1 without faults:\n";
  for (const PublishedFigure& row : figures) {
    std::cout << FigureText(row);
  }
  if (figures.empty()) {
    std::cout << "  none is known here" << LikelyModel(model, table)
              << "; doctor takes a table of yours: --golden FILE\n";
  }
  const std::string dataset = figures.empty() ? "imagenet-1k" : figures[0].dataset;
  std::cout << absl::StrFormat(
      "check: top-1 in fp32 on all images must be within %.2f points of it:\n"
      "  bitquake doctor --golden --device cuda --model models/%s --data data/%s%s\n",
      kGoldenTolerancePp, model, dataset, ComesAsCode(model) ? " --allow-torchscript" : "");
  return absl::OkStatus();
}

}  // namespace

void AddFetchHelp(CLI::App& app, Session& session) {
  CLI::App* command =
      app.add_subcommand("fetch-help", "Say which files of a model and of ImageNet are needed");
  auto model = std::make_shared<std::string>();
  command->add_option("MODEL", *model, "the model's name, as timm has it")->required();
  AddJsonFlag(*command, session);
  command->footer("Example: bitquake fetch-help vit_base_patch16_224.augreg_in21k_ft_in1k");
  command->callback([model, &session] { session.Finish(FetchHelp(*model, session.flags.json)); });
}

}  // namespace bitquake
