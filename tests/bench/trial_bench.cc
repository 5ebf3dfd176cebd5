// One trial of Bitquake on given files, to be measured beside other injectors (tests/bench/peers).
//
//   trial_bench --model DIR --images RAW --count N --faults CSV --format int8
//       --compute fp32|tf32|bf16|fp16 --device cpu|cuda[:i] --batch B --repeats R
//
// RAW holds N images of uint8, channel by channel, as the network's input is sized; CSV a line
// tensor,index,bit for each flip. Prints one JSON object: the seconds of injecting, inferring,
// undoing and of all three in one, once for each repeat; images a second of bare forward passes;
// SHA-256 of the faulty weights as fp32; the predictions under faults. Only weights of convolutions
// and linear layers are quantised, as the other injectors reach no tokens and positions. On the CPU
// the batch is no forward pass: as in a campaign its images go in chunks of the engine's own size
// over all threads.
#include <ATen/ATen.h>
#include <ATen/DeviceAccelerator.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/fault/listed_bits.h"
#include "common/model/snapshot.h"
#include "worker/engine/torch_evaluator.h"

namespace bitquake {
namespace {

struct Arguments {
  std::string model;
  std::string images;
  int64_t count = 0;
  std::string faults;
  std::string format = "int8";
  std::string compute = "fp32";
  std::string device = "cpu";
  int batch = 256;
  int repeats = 3;
  int threads = static_cast<int>(std::thread::hardware_concurrency());
};

double Now() { return absl::ToDoubleSeconds(SystemClock().Monotonic()); }

absl::StatusOr<FaultList> ReadFaults(const std::string& path, const Surface& surface) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::vector<FaultModel::ListedBit> list;
  bool header = true;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ',');
    FaultModel::ListedBit bit;
    if (std::exchange(header, false)) {
      continue;
    }
    if (fields.size() != 3 || !absl::SimpleAtoi(fields[1], &bit.index) ||
        !absl::SimpleAtoi(fields[2], &bit.bit)) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": '", line, "'"));
    }
    bit.tensor = std::string(fields[0]);
    list.push_back(std::move(bit));
  }
  return FindListedBits(surface, list);
}

class Bench {
 public:
  explicit Bench(const Arguments& arguments) : arguments_(arguments) {}

  absl::StatusOr<nlohmann::ordered_json> Run() {
    RETURN_IF_ERROR(Prepare());
    const c10::InferenceMode inference_mode;
    const c10::OptionalDeviceGuard guard(device_);
    nlohmann::ordered_json result;
    ASSIGN_OR_RETURN(result["device"], DeviceKind(arguments_.device));
    result["compute"] = arguments_.compute;
    result["batch"] = arguments_.batch;
    result["images"] = arguments_.count;
    ASSIGN_OR_RETURN(result["forward_images_per_s"], ForwardRates());
    for (const char* figure : {"inject_s", "undo_s", "infer_s", "trial_s"}) {
      result[figure] = nlohmann::json::array();
    }
    for (int repeat = -1; repeat < arguments_.repeats; ++repeat) {  // the first one warms up
      RETURN_IF_ERROR(Repeat(repeat < 0 ? nullptr : &result));
    }
    RETURN_IF_ERROR(model().Prove());
    return result;
  }

 private:
  LoadedModel& model() { return evaluator_->model(); }

  absl::Status Prepare() {
    ASSIGN_OR_RETURN(snapshot_, OpenSnapshot(arguments_.model));
    EvaluatorOptions options;
    ASSIGN_OR_RETURN(options.format, NumberFormat::FromName(arguments_.format));
    options.device = arguments_.device;
    options.compute = arguments_.compute;
    ASSIGN_OR_RETURN(device_, OpenDevice(arguments_.device));
    options.chunk = arguments_.batch;
    if (device_.is_cpu()) {
      ASSIGN_OR_RETURN(options.chunk, ChooseChunk(snapshot_, options, arguments_.batch));
    }
    options.threads = arguments_.threads;
    for (const SurfaceTensor& tensor : snapshot_.surface) {
      if (absl::EndsWith(tensor.name, ".weight")) {
        surface_.push_back(tensor);
      }
    }
    options.surface = surface_;
    ASSIGN_OR_RETURN(evaluator_, TorchEvaluator::Create(snapshot_, options));
    ASSIGN_OR_RETURN(faults_, ReadFaults(arguments_.faults, surface_));
    RETURN_IF_ERROR(model().words().Check(faults_));
    return MakeInputs();
  }

  absl::Status MakeInputs() {
    ASSIGN_OR_RETURN(images_, MappedFile::Open(arguments_.images));
    const absl::string_view bytes = images_.bytes();
    const Preprocessing& input = snapshot_.architecture.preprocessing;
    const int64_t image = int64_t{input.channels} * input.height * input.width;
    if (static_cast<int64_t>(bytes.size()) < arguments_.count * image) {
      return absl::InvalidArgumentError(
          absl::StrCat(arguments_.images, " holds fewer than ", arguments_.count, " images"));
    }
    for (int64_t first = 0; first < arguments_.count; first += arguments_.batch) {
      FoldImages& batch = batches_.emplace_back();
      for (int64_t i = first; i < std::min(arguments_.count, first + arguments_.batch); ++i) {
        batch.pixels.push_back(reinterpret_cast<const uint8_t*>(bytes.data()) + i * image);
      }
      batch.labels.resize(batch.pixels.size());
      if (device_.is_cuda()) {
        inputs_.push_back(evaluator_->input_maker().Make(batch.pixels, arguments_.batch));
      }
    }
    return absl::OkStatus();
  }

  void Synchronize() const {
    if (device_.is_cuda()) {
      at::accelerator::synchronizeDevice(device_.index());
    }
  }

  // Of one batch.
  absl::StatusOr<at::Tensor> Forward(size_t batch) {
    if (device_.is_cpu()) {
      return evaluator_->Logits(batches_[batch]);
    }
    return evaluator_->forwards().RunFrom(0, inputs_[batch]);
  }

  absl::StatusOr<std::vector<double>> ForwardRates() {
    std::vector<double> rates;
    absl::Status status;
    const auto forward = [&](int times) {
      const double start = Now();
      for (int i = 0; i < times; ++i) {
        status.Update(Forward(0).status());
      }
      Synchronize();
      return Now() - start;
    };
    forward(9);  // the first passes find out whether they are to be recorded
    const int times = std::max(1, static_cast<int>(0.3 / forward(1)));
    for (int repeat = 0; repeat < arguments_.repeats; ++repeat) {
      rates.push_back(times * static_cast<double>(batches_[0].pixels.size()) / forward(times));
    }
    RETURN_IF_ERROR(status);
    return rates;
  }

  // Top-1 classes of all images.
  absl::StatusOr<at::Tensor> Predict() {
    std::vector<at::Tensor> classes;
    for (size_t batch = 0; batch < batches_.size(); ++batch) {
      ASSIGN_OR_RETURN(const at::Tensor logits, Forward(batch));
      classes.push_back(logits.argmax(1));
    }
    return at::cat(classes).narrow(0, 0, arguments_.count).to(at::kInt).cpu().contiguous();
  }

  absl::Status Repeat(nlohmann::ordered_json* result) {
    double start = Now();
    StagedFlips staged = model().Stage(faults_);
    RETURN_IF_ERROR(model().Patch(staged).status());
    Synchronize();
    const double inject = Now() - start;
    start = Now();
    ASSIGN_OR_RETURN(const at::Tensor predictions, Predict());
    const double infer = Now() - start;
    if (result != nullptr && !result->contains("faulty_weights")) {
      (*result)["faulty_weights"] = FaultyWeights();
      const auto* classes = predictions.const_data_ptr<int32_t>();
      (*result)["predictions"] = std::vector<int32_t>(classes, classes + predictions.numel());
    }
    start = Now();
    model().Undo(staged);
    Synchronize();
    const double undo = Now() - start;
    start = Now();
    staged = model().Stage(faults_);
    RETURN_IF_ERROR(model().Patch(staged).status());
    RETURN_IF_ERROR(Predict().status());
    model().Undo(staged);
    Synchronize();
    const double trial = Now() - start;
    if (result != nullptr) {
      (*result)["inject_s"].push_back(inject);
      (*result)["undo_s"].push_back(undo);
      (*result)["infer_s"].push_back(infer);
      (*result)["trial_s"].push_back(trial);
    }
    return absl::OkStatus();
  }

  // As the network reads them, scaled where it scales behind the product.
  nlohmann::json FaultyWeights() {
    nlohmann::json hashes;
    for (const SurfaceTensor& tensor : surface_) {
      const auto scale = model().weights().scales.find(tensor.name);
      at::Tensor values = model().weights().at(tensor.name).to(at::kCPU, at::kFloat).contiguous();
      if (scale != model().weights().scales.end()) {
        values = values * static_cast<float>(scale->second);
      }
      hashes[tensor.name] =
          Sha256Hex({static_cast<const char*>(values.const_data_ptr()), values.nbytes()});
    }
    return hashes;
  }

  const Arguments arguments_;
  ModelSnapshot snapshot_;
  Surface surface_;
  at::Device device_ = at::kCPU;
  std::unique_ptr<TorchEvaluator> evaluator_;
  FaultList faults_;
  MappedFile images_;
  std::vector<FoldImages> batches_;
  std::vector<at::Tensor> inputs_;  // of each batch, on a CUDA device
};

}  // namespace
}  // namespace bitquake

int main(int argc, char** argv) {
  bitquake::PrepareProcess();
  bitquake::Arguments arguments;
  CLI::App app("One trial on given files, with its times, as JSON.");
  app.add_option("--model", arguments.model)->required();
  app.add_option("--images", arguments.images)->required();
  app.add_option("--count", arguments.count)->required()->check(CLI::PositiveNumber);
  app.add_option("--faults", arguments.faults)->required();
  app.add_option("--format", arguments.format)->capture_default_str();
  app.add_option("--compute", arguments.compute)->capture_default_str();
  app.add_option("--device", arguments.device)->capture_default_str();
  app.add_option("--batch", arguments.batch)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--repeats", arguments.repeats)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--threads", arguments.threads)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const auto result = bitquake::Bench(arguments).Run();
  if (!result.ok()) {
    std::cerr << "trial_bench: " << result.status().message() << "\n";
    return 1;
  }
  std::cout << result->dump(2) << "\n";
  return 0;
}
