#include "worker/engine/stager.h"

#include <utility>

namespace bitquake {

Stager::Stager(const LoadedModel* model, bool overlap) : model_(model) {
  if (overlap) {
    thread_ = std::thread([this] { Work(); });
  }
}

Stager::~Stager() {
  if (thread_.joinable()) {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
    }
    thread_.join();
  }
}

void Stager::Work() {
  absl::MutexLock lock(&mutex_);
  const auto called = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || wanted_ != nullptr;
  };
  for (;;) {
    mutex_.Await(absl::Condition(&called));
    if (stopping_) {
      return;
    }
    const FaultList* flips = std::exchange(wanted_, nullptr);
    mutex_.Unlock();
    std::optional<StagedFlips> staged;
    std::exception_ptr error;
    try {
      staged = model_->Stage(*flips);
    } catch (...) {
      error = std::current_exception();
    }
    mutex_.Lock();
    staged_ = std::move(staged);
    error_ = error;
  }
}

void Stager::Begin(const FaultList* flips) {
  absl::MutexLock lock(&mutex_);
  wanted_ = flips;
  begun_ = true;
}

StagedFlips Stager::Take() {
  absl::MutexLock lock(&mutex_);
  begun_ = false;
  if (!thread_.joinable()) {
    return model_->Stage(*std::exchange(wanted_, nullptr));
  }
  const auto done = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return staged_.has_value() || error_ != nullptr;
  };
  mutex_.Await(absl::Condition(&done));
  if (error_ != nullptr) {
    std::rethrow_exception(std::exchange(error_, nullptr));
  }
  StagedFlips staged = *std::move(staged_);
  staged_.reset();
  return staged;
}

void Stager::Drop() {
  bool begun;
  {
    absl::MutexLock lock(&mutex_);
    begun = begun_;
  }
  if (begun && thread_.joinable()) {
    try {
      Take();
    } catch (...) {
      // Nobody waits for it.
    }
  }
}

}  // namespace bitquake
