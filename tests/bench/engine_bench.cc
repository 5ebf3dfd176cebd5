// What a campaign costs on a device, as ratios to bare forward passes of the same network.
//
//   engine_bench --device cuda --compute bf16 --architecture vit_base_patch16_224
//
// Prints, measured side by side in one run: bare forward passes; model-wise trials; block-, tensor-
// and head-wise ones, which resume from golden's activations; injecting and undoing k flips. Checks
// that a trial without flips costs no inference, that outcomes are the same with reuse,
// overlap and CUDA graphs on and off, and that after many trials words and canary are golden's.
// Exit code 1 if not.
#include <ATen/ATen.h>
#include <ATen/DeviceAccelerator.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <future>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "tests/bench/random_model.h"
#include "worker/engine/torch_evaluator.h"

namespace bitquake {
namespace {

struct Arguments {
  std::string architecture = "vit_base_patch16_224";
  std::string device = "cpu";
  std::string compute = "fp32";
  std::string format = "int8";
  int images = 256;
  int chunk = 256;
  int threads = 1;
  int trials = 10;  // of each target
  int model_trials = 40;
  int proof_trials = 1000;
  double ber = 1e-5;
  std::string graphs = "auto";
  bool tensor_wise = true;
};

double Now() { return absl::ToDoubleSeconds(SystemClock().Monotonic()); }

class Bench {
 public:
  static absl::StatusOr<Bench> Create(const Arguments& arguments) {
    Bench bench(arguments);
    ASSIGN_OR_RETURN(bench.snapshot_, RandomVit(arguments.architecture));
    bench.options_.device = arguments.device;
    bench.options_.compute = arguments.compute;
    bench.options_.chunk = arguments.chunk;
    bench.options_.threads = arguments.threads;
    bench.tuning_.recording = arguments.graphs == "always"  ? Recording::kAlways
                              : arguments.graphs == "never" ? Recording::kNever
                                                            : Recording::kWhereItHelps;
    ASSIGN_OR_RETURN(bench.options_.format, NumberFormat::FromName(arguments.format));
    ASSIGN_OR_RETURN(bench.evaluator_,
                     TorchEvaluator::Create(bench.snapshot_, bench.options_, bench.tuning_));
    bench.images_ =
        std::make_unique<RandomImages>(bench.snapshot_.architecture.preprocessing,
                                       bench.snapshot_.architecture.num_classes, arguments.images);
    RETURN_IF_ERROR(bench.evaluator_->Golden(bench.images_->fold).status());
    ASSIGN_OR_RETURN(bench.device_, OpenDevice(arguments.device));
    return bench;
  }

  absl::Status Run() {
    RETURN_IF_ERROR(Speeds());
    RETURN_IF_ERROR(Injection());
    RETURN_IF_ERROR(ZeroFlips());
    RETURN_IF_ERROR(SameLogits());
    RETURN_IF_ERROR(SameOutcomes());
    return ManyTrials();
  }

 private:
  explicit Bench(const Arguments& arguments) : arguments_(arguments) {}

  void Synchronize() const {
    if (device_.is_cuda()) {
      at::accelerator::synchronizeDevice(device_.index());
    }
  }

  // Images a second of forward passes of chunks that lie on the device.
  double Bare() {
    const c10::InferenceMode inference_mode;
    const c10::OptionalDeviceGuard guard(device_);
    const absl::Span<const uint8_t* const> pixels(images_->fold.pixels);
    const at::Tensor input =
        evaluator_->input_maker().Make(pixels.subspan(0, arguments_.chunk), arguments_.chunk);
    const auto seconds = [&](int forwards) {
      const double start = Now();
      for (int i = 0; i < forwards; ++i) {
        evaluator_->forwards().RunFrom(0, input);
      }
      Synchronize();
      return Now() - start;
    };
    seconds(9);  // the first passes find out whether they are to be recorded
    const double once = seconds(1);
    const int forwards = std::clamp(static_cast<int>(1.0 / once), 1, 200);
    std::vector<double> rates;
    for (int round = 0; round < 5; ++round) {
      rates.push_back(forwards * arguments_.chunk / seconds(forwards));
    }
    std::sort(rates.begin(), rates.end());
    return rates[2];
  }

  absl::StatusOr<std::vector<FaultList>> Draw(const Granularity& granularity, int trials) {
    ASSIGN_OR_RETURN(const std::vector<Target> targets,
                     ExpandTargets(snapshot_.surface, granularity, options_.format));
    std::vector<FaultList> lists(targets.size() * trials);
    std::vector<std::thread> threads;
    std::vector<absl::Status> failed(std::max(1u, std::thread::hardware_concurrency()));
    for (size_t worker = 0; worker < failed.size(); ++worker) {
      threads.emplace_back([&, worker] {
        for (size_t i = worker; i < lists.size() && failed[worker].ok(); i += failed.size()) {
          absl::StatusOr<FaultList> list = DrawFaults(
              snapshot_.surface, targets[i % targets.size()], FaultModel(), options_.format,
              /*seed=*/1, static_cast<uint32_t>(i / targets.size()), arguments_.ber);
          failed[worker] = list.status();
          if (list.ok()) {
            lists[i] = *std::move(list);
          }
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    for (const absl::Status& status : failed) {
      RETURN_IF_ERROR(status);
    }
    return lists;
  }

  static std::vector<TrialRequest> Requests(const std::vector<FaultList>& lists) {
    std::vector<TrialRequest> requests;
    for (const FaultList& list : lists) {
      requests.push_back({static_cast<int64_t>(requests.size()), &list});
    }
    return requests;
  }

  absl::StatusOr<std::vector<TrialOutcome>> RunAll(TorchEvaluator& evaluator,
                                                   const std::vector<FaultList>& lists) {
    return evaluator.Run(images_->fold, Requests(lists), [] { return false; });
  }

  // Trials a second times images: drawing the faults, golden's passes and the proofs included.
  absl::StatusOr<double> Rate(const Granularity& granularity, int trials) {
    const double start = Now();
    ASSIGN_OR_RETURN(const std::vector<FaultList> lists, Draw(granularity, trials));
    RETURN_IF_ERROR(RunAll(*evaluator_, lists).status());
    return static_cast<double>(lists.size()) * arguments_.images / (Now() - start);
  }

  absl::Status Speeds() {
    Bare();
    Granularity model;
    Granularity block{Granularity::Kind::kBlock};
    Granularity tensor{Granularity::Kind::kTensor};
    Granularity head{Granularity::Kind::kHead};
    head.blocks = {std::get<VitShape>(snapshot_.architecture.network).depth - 1};
    RETURN_IF_ERROR(Rate(head, 1).status());
    const double before = Bare();
    ASSIGN_OR_RETURN(const double model_wise, Rate(model, arguments_.model_trials));
    const double bare = Bare();
    absl::PrintF("bare forward            %9.1f images/s (before: %.1f)\n", bare, before);
    absl::PrintF("model-wise              %9.1f images/s, %.3f of bare forward\n", model_wise,
                 model_wise / std::max(bare, before));
    const auto print = [&](const char* name, const Granularity& granularity,
                           int trials) -> absl::Status {
      ASSIGN_OR_RETURN(const double rate, Rate(granularity, trials));
      absl::PrintF("%-23s %9.1f images/s, %.3f of model-wise\n", name, rate, rate / model_wise);
      return absl::OkStatus();
    };
    RETURN_IF_ERROR(print("block-wise", block, arguments_.trials));
    if (arguments_.tensor_wise) {
      RETURN_IF_ERROR(print("tensor-wise", tensor, std::max(1, arguments_.trials / 3)));
    }
    RETURN_IF_ERROR(print("head-wise, last block", head, arguments_.trials));
    RETURN_IF_ERROR(ByBlock(model_wise));
    const RecordedForwards& forwards = evaluator_->forwards();
    absl::PrintF(
        "CUDA graphs replayed: %d%s\n", forwards.recorded(),
        forwards.given_up().empty() ? "" : absl::StrCat("; given up: ", forwards.given_up()));
    return absl::OkStatus();
  }

  absl::Status ByBlock(double model_wise) {
    const int depth = std::get<VitShape>(snapshot_.architecture.network).depth;
    std::string line = "block                  ";
    std::string ratios = "  of model-wise        ";
    for (int b = 0; b < depth; b += std::max(1, depth / 6)) {
      Granularity one{Granularity::Kind::kBlock};
      one.blocks = {b};
      ASSIGN_OR_RETURN(const double rate, Rate(one, 2 * arguments_.trials));
      absl::StrAppendFormat(&line, "%7d", b);
      absl::StrAppendFormat(&ratios, "%7.2f", rate / model_wise);
    }
    absl::PrintF("%s\n%s\n", line, ratios);
    return absl::OkStatus();
  }

  absl::Status Injection() {
    const c10::InferenceMode inference_mode;
    const c10::OptionalDeviceGuard guard(device_);
    LoadedModel& model = evaluator_->model();
    const double bits = [&] {
      double sum = 0;
      for (const SurfaceTensor& tensor : snapshot_.surface) {
        sum += static_cast<double>(tensor.words()) * options_.format.bits;
      }
      return sum;
    }();
    for (const double k : {1e2, 1e3, 1e4, 1e5, 1e6}) {
      arguments_.ber = k / bits;
      const double drawing = Now();
      ASSIGN_OR_RETURN(const std::vector<FaultList> lists, Draw(Granularity(), 1));
      const double drawn = Now() - drawing;
      const double staging = Now();
      const StagedFlips staged = model.Stage(lists[0]);
      Synchronize();
      const double uploaded = Now() - staging;
      double inject = 1e9;
      double undo = 1e9;
      for (int round = 0; round < 10; ++round) {
        double start = Now();
        RETURN_IF_ERROR(model.Patch(staged).status());
        Synchronize();
        inject = std::min(inject, Now() - start);
        start = Now();
        model.Undo(staged);
        Synchronize();
        undo = std::min(undo, Now() - start);
      }
      absl::PrintF(
          "%8d flips: draw %8.3f ms, stage and upload %8.3f ms, inject %7.3f ms, undo %7.3f ms\n",
          lists[0].flips(), drawn * 1e3, uploaded * 1e3, inject * 1e3, undo * 1e3);
    }
    return model.Prove();
  }

  absl::Status ZeroFlips() {
    const std::vector<FaultList> lists(10);
    const double start = Now();
    ASSIGN_OR_RETURN(const auto outcomes, RunAll(*evaluator_, lists));
    int64_t inferences = 0;
    for (const TrialOutcome& outcome : outcomes) {
      inferences += outcome.inferences;
    }
    absl::PrintF("10 trials without flips: %d inferences, %.3f ms\n", inferences,
                 (Now() - start) * 1e3);
    return inferences == 0 ? absl::OkStatus() : absl::InternalError("inferences without flips");
  }

  // Forward passes one after the other give the same logits, bit for bit.
  absl::Status SameLogits() {
    ASSIGN_OR_RETURN(const at::Tensor first, evaluator_->Logits(images_->fold));
    int same = 0;
    for (int i = 0; i < 10; ++i) {
      ASSIGN_OR_RETURN(const at::Tensor again, evaluator_->Logits(images_->fold));
      same += at::equal(first, again);
    }
    absl::PrintF("10 more golden passes: %d with the same logits\n", same);
    return same == 10 ? absl::OkStatus() : absl::InternalError("golden passes differ");
  }

  absl::Status SameOutcomes() {
    Granularity tensor{Granularity::Kind::kTensor};
    arguments_.ber = 1e-3;
    ASSIGN_OR_RETURN(const std::vector<FaultList> lists, Draw(tensor, 1));
    ASSIGN_OR_RETURN(const auto outcomes, RunAll(*evaluator_, lists));
    EvaluatorTuning plain;
    plain.reuse = false;
    plain.overlap = false;
    plain.recording = Recording::kNever;
    ASSIGN_OR_RETURN(const auto other, TorchEvaluator::Create(snapshot_, options_, plain));
    ASSIGN_OR_RETURN(const auto again, RunAll(*other, lists));
    ASSIGN_OR_RETURN(const GoldenOutcome golden, evaluator_->Golden(images_->fold));
    ASSIGN_OR_RETURN(const GoldenOutcome other_golden, other->Golden(images_->fold));
    size_t same = 0;
    for (size_t i = 0; i < lists.size(); ++i) {
      same += outcomes[i].digest == again[i].digest;
    }
    int64_t changed = 0;
    for (const TrialOutcome& outcome : outcomes) {
      changed += outcome.sdc + outcome.due;
    }
    absl::PrintF(
        "reuse, overlap and recording on and off: %d of %d outcomes the same, golden %s (%d "
        "predictions changed by faults)\n",
        same, lists.size(), golden.digest == other_golden.digest ? "the same" : "DIFFERS", changed);
    return same == lists.size() && golden.digest == other_golden.digest
               ? absl::OkStatus()
               : absl::InternalError("outcomes depend on reuse, overlap or recording");
  }

  // Run itself proves words and canary behind the last trial.
  absl::Status ManyTrials() {
    Granularity head{Granularity::Kind::kHead};
    head.blocks = {std::get<VitShape>(snapshot_.architecture.network).depth - 1};
    const int heads = std::get<VitShape>(snapshot_.architecture.network).heads;
    ASSIGN_OR_RETURN(const std::vector<FaultList> lists,
                     Draw(head, (arguments_.proof_trials + heads - 1) / heads));
    ASSIGN_OR_RETURN(const auto outcomes, RunAll(*evaluator_, lists));
    absl::PrintF("%d trials: words and canary are golden's\n", outcomes.size());
    return absl::OkStatus();
  }

  Arguments arguments_;
  ModelSnapshot snapshot_;
  EvaluatorOptions options_;
  EvaluatorTuning tuning_;
  at::Device device_ = at::kCPU;
  std::unique_ptr<TorchEvaluator> evaluator_;
  std::unique_ptr<RandomImages> images_;
};

absl::Status RunBench(const Arguments& arguments) {
  ASSIGN_OR_RETURN(const std::string kind, DeviceKind(arguments.device));
  ASSIGN_OR_RETURN(Bench bench, Bench::Create(arguments));
  absl::PrintF("%s, %s, %s, %s, chunk %d, fold of %d\n", arguments.architecture, kind,
               arguments.compute, arguments.format, arguments.chunk, arguments.images);
  return bench.Run();
}

}  // namespace
}  // namespace bitquake

int main(int argc, char** argv) {
  bitquake::PrepareProcess();
  bitquake::Arguments arguments;
  CLI::App app("What a campaign costs on a device, as ratios to bare forward passes.");
  app.add_option("--architecture", arguments.architecture)->capture_default_str();
  app.add_option("--device", arguments.device)->capture_default_str();
  app.add_option("--compute", arguments.compute)->capture_default_str();
  app.add_option("--format", arguments.format)->capture_default_str();
  app.add_option("--images", arguments.images, "of the fold")->capture_default_str();
  app.add_option("--chunk", arguments.chunk)->capture_default_str();
  app.add_option("--threads", arguments.threads, "on the CPU")->capture_default_str();
  app.add_option("--trials", arguments.trials, "of each target")->capture_default_str();
  app.add_option("--model-trials", arguments.model_trials)->capture_default_str();
  app.add_option("--proof-trials", arguments.proof_trials)->capture_default_str();
  app.add_option("--graphs", arguments.graphs, "CUDA graphs: auto (where they help), always, never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str();
  app.add_option("--ber", arguments.ber)->capture_default_str();
  app.add_option("--tensor-wise", arguments.tensor_wise)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = bitquake::RunBench(arguments);
  if (!status.ok()) {
    std::cerr << "engine_bench: " << status.message() << "\n";
    return 1;
  }
  return 0;
}
