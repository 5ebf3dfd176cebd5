#include "common/model/swin_tensors.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

constexpr int kMaxImageSide = 4096;  // pixels

std::string BlockName(int stage, int block) {
  return absl::StrCat("layers.", stage, ".blocks.", block);
}

// No tensor tells it: config.json does, or the name ("..._window7_224").
absl::StatusOr<int> ImageSide(const ModelConfig& config) {
  std::optional<int> image = config.args.img_size;
  if (config.input_size) {
    const auto [channels, height, width] = *config.input_size;
    if (channels != 3 || height != width || (image && *image != height)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "config.json: input_size is [", absl::StrJoin(*config.input_size, ", "), "], should be ",
          image ? absl::StrCat("[3, ", *image, ", ", *image, "], as img_size says")
                : "three channels of a square"));
    }
    image = height;
  }
  if (!image) {
    const std::vector<std::string> words = absl::StrSplit(config.architecture, '_');
    int named = 0;
    if (absl::SimpleAtoi(words.back(), &named)) {
      image = named;
    }
  }
  if (!image || *image < 1 || *image > kMaxImageSide) {
    return absl::InvalidArgumentError(
        absl::StrCat("config.json: the image size of '", config.architecture,
                     "' is not known; state pretrained_cfg.input_size, at most ", kMaxImageSide));
  }
  return *image;
}

// timm before 0.9 downsampled at the end of a stage and named its head otherwise.
absl::Status RefuseOldLayout(const CheckpointShapes& shapes) {
  for (const absl::string_view old : {"layers.0.downsample.reduction.weight", "head.weight"}) {
    if (shapes.Has(old)) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor '", old,
                       "' is of timm's layout before version 0.9; load the checkpoint with a "
                       "current timm and save it again"));
    }
  }
  return absl::OkStatus();
}

// The window from its table of relative positions, (2w - 1)^2 of them.
absl::StatusOr<int> Window(const CheckpointShapes& shapes, const std::string& table) {
  ASSIGN_OR_RETURN(const int positions, shapes.Side(table, 2, 0));
  const int span = static_cast<int>(std::lround(std::sqrt(positions)));
  if (span * span != positions || span % 2 != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("tensor '", table, "' has ", positions,
                     " relative positions, which are not those of a square window"));
  }
  return (span + 1) / 2;
}

absl::StatusOr<SwinStage> DeriveStage(const CheckpointShapes& shapes, int index, int side) {
  const std::string first = BlockName(index, 0);
  const std::string table = first + ".attn.relative_position_bias_table";
  SwinStage stage;
  stage.side = side;
  stage.depth = shapes.Count(absl::StrCat("layers.", index, ".blocks."), ".attn.qkv.weight");
  ASSIGN_OR_RETURN(stage.width, shapes.Side(first + ".attn.proj.weight", 2, 0));
  ASSIGN_OR_RETURN(stage.heads, shapes.Side(table, 2, 1));
  ASSIGN_OR_RETURN(stage.window, Window(shapes, table));
  ASSIGN_OR_RETURN(stage.mlp_hidden, shapes.Side(first + ".mlp.fc1.weight", 2, 0));
  if (stage.width % stage.heads != 0) {
    return absl::InvalidArgumentError(absl::StrCat("stage ", index, ": its ", stage.heads,
                                                   " heads do not divide its width ", stage.width));
  }
  if (stage.side % stage.window != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "stage ", index, ": windows of ", stage.window, " tokens do not divide its side of ",
        stage.side, "; an image size that needs padding is not supported"));
  }
  return stage;
}

// Of an argument that is stated once for all stages, or for each.
absl::Status CheckStages(absl::string_view field, const std::vector<int>& stated,
                         const std::vector<int>& found) {
  if (stated.empty() || stated == found ||
      (stated.size() == 1 && std::vector<int>(found.size(), stated[0]) == found)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("config.json: ", field, " is [", absl::StrJoin(stated, ", "),
                   "], but the weights have [", absl::StrJoin(found, ", "), "]"));
}

absl::Status CheckArgs(const ModelArgs& args, const SwinShape& swin) {
  std::vector<int> depths;
  std::vector<int> heads;
  std::vector<int> windows;
  std::vector<int> stated_windows = args.window_size;
  if (stated_windows.size() == 1) {
    stated_windows.resize(swin.stages.size(), stated_windows[0]);
  }
  for (const SwinStage& stage : swin.stages) {
    depths.push_back(stage.depth);
    heads.push_back(stage.heads);
    windows.push_back(stage.window);
    RETURN_IF_ERROR(CheckMlpRatio(args.mlp_ratio, stage.width, stage.mlp_hidden));
  }
  // A window is cut to what there is of its stage.
  for (size_t i = 0; i < std::min(stated_windows.size(), swin.stages.size()); ++i) {
    stated_windows[i] = std::min(stated_windows[i], swin.stages[i].side);
  }
  RETURN_IF_ERROR(CheckStages("window_size", stated_windows, windows));
  RETURN_IF_ERROR(CheckStages("num_heads", args.num_heads, heads));
  RETURN_IF_ERROR(CheckStages("depths", args.depths, depths));
  RETURN_IF_ERROR(CheckStated("embed_dim", args.embed_dim, swin.stages[0].width));
  return CheckStated("patch_size", args.patch_size, swin.patch);
}

void AddBlock(const SwinShape& shape, const SwinStage& stage, int stage_index, int block_index,
              TensorLister& tensors) {
  const std::string block = BlockName(stage_index, block_index);
  const int64_t window = stage.window;
  const int64_t area = window * window;
  tensors.Begin(block, Part::kAttention);
  tensors.AddNorm(block + ".norm1", stage.width);
  tensors.AddFusedQkv(block + ".attn.qkv", stage.width, stage.heads, shape.qkv_bias);
  tensors.Add(block + ".attn.relative_position_bias_table",
              {(2 * window - 1) * (2 * window - 1), stage.heads});
  tensors.Add(block + ".attn.relative_position_index", {area, area}, TensorKind::kUnused);
  if (block_index % 2 == 1 && stage.shift() > 0) {
    const int64_t windows = int64_t{stage.side / stage.window} * (stage.side / stage.window);
    tensors.Add(block + ".attn_mask", {windows, area, area}, TensorKind::kUnused);
  }
  tensors.AddLinear(block + ".attn.proj", stage.width, stage.width);
  tensors.AddMlp(block, stage.width, stage.mlp_hidden);
}

}  // namespace

absl::StatusOr<SwinShape> DeriveSwin(const ModelConfig& config, const CheckpointShapes& shapes) {
  RETURN_IF_ERROR(RefuseOldLayout(shapes));
  SwinShape swin;
  ASSIGN_OR_RETURN(swin.image, ImageSide(config));
  ASSIGN_OR_RETURN(swin.patch, shapes.Side("patch_embed.proj.weight", 4, 2));
  swin.qkv_bias = config.args.qkv_bias.value_or(shapes.Has("layers.0.blocks.0.attn.qkv.bias"));
  swin.norm_eps = config.norm_eps.value_or(1e-5);
  const int stages = std::max(1, shapes.Count("layers.", ".blocks.0.attn.qkv.weight"));
  int divisor = swin.patch;
  for (int s = 0; s < stages; ++s, divisor *= 2) {
    if (divisor > swin.image || swin.image % divisor != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("config.json: an image of ", swin.image, " pixels is no multiple of ",
                       divisor, ", which ", stages, " stages of patches of ", swin.patch,
                       " need; padding is not supported"));
    }
    ASSIGN_OR_RETURN(const SwinStage stage, DeriveStage(shapes, s, swin.image / divisor));
    if (s > 0 && stage.width != 2 * swin.stages.back().width) {
      return absl::InvalidArgumentError(
          absl::StrCat("stage ", s, " has width ", stage.width, ", which is not twice the ",
                       swin.stages.back().width, " of the stage before"));
    }
    swin.stages.push_back(stage);
  }
  RETURN_IF_ERROR(CheckArgs(config.args, swin));
  return swin;
}

std::vector<NetworkTensor> SwinTensors(const SwinShape& shape, int num_classes) {
  TensorLister tensors;
  tensors.Begin("", Part::kEmbed);
  tensors.Add("patch_embed.proj.weight", {shape.stages[0].width, 3, shape.patch, shape.patch});
  tensors.Add("patch_embed.proj.bias", {shape.stages[0].width});
  tensors.AddNorm("patch_embed.norm", shape.stages[0].width);
  for (int s = 0; s < static_cast<int>(shape.stages.size()); ++s) {
    const SwinStage& stage = shape.stages[s];
    if (s > 0) {
      const std::string downsample = absl::StrCat("layers.", s, ".downsample");
      const int64_t before = shape.stages[s - 1].width;
      tensors.Begin("", Part::kEmbed);
      tensors.AddNorm(downsample + ".norm", 4 * before);
      tensors.AddLinear(downsample + ".reduction", 2 * before, 4 * before, /*bias=*/false);
    }
    for (int b = 0; b < stage.depth; ++b) {
      AddBlock(shape, stage, s, b, tensors);
    }
  }
  tensors.Begin("", Part::kHead);
  tensors.AddNorm("norm", shape.stages.back().width);
  tensors.AddLinear("head.fc", num_classes, shape.stages.back().width);
  return std::move(tensors).Take();
}

}  // namespace bitquake
