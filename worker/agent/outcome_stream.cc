#include "worker/agent/outcome_stream.h"

#include <utility>

#include "common/base/backoff.h"
#include "common/base/process.h"
#include "spdlog/spdlog.h"

namespace bitquake {

OutcomeStream::OutcomeStream(v1::WorkerService::StubInterface* stub, std::string worker_id,
                             std::function<void()> unknown_worker)
    : stub_(stub), worker_id_(std::move(worker_id)), unknown_worker_(std::move(unknown_worker)) {
  thread_ = std::thread([this] { Loop(); });
}

OutcomeStream::~OutcomeStream() { Stop(); }

void OutcomeStream::Send(v1::OutcomeReport report) {
  absl::MutexLock lock(&mutex_);
  const int64_t sequence = next_sequence_++;
  report.set_worker_id(worker_id_);
  report.set_sequence(sequence);
  unacknowledged_.emplace(sequence, std::move(report));
}

bool OutcomeStream::AwaitUnacknowledged(size_t most, absl::Duration patience) {
  absl::MutexLock lock(&mutex_);
  auto few = [this, most]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return unacknowledged_.size() <= most || stopping_;
  };
  return mutex_.AwaitWithTimeout(absl::Condition(&few), patience);
}

size_t OutcomeStream::unacknowledged() const {
  absl::MutexLock lock(&mutex_);
  return unacknowledged_.size();
}

void OutcomeStream::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    if (context_ != nullptr) {
      context_->TryCancel();
    }
  }
  if (thread_.joinable()) {
    thread_.join();
  }
}

bool OutcomeStream::SomethingToSend() const {
  return stopping_ || broken_ ||
         (!unacknowledged_.empty() && unacknowledged_.rbegin()->first > sent_);
}

void OutcomeStream::Loop() {
  Backoff backoff({}, RandomNumber());
  for (;;) {
    {
      absl::MutexLock lock(&mutex_);
      sent_ = 0;
      broken_ = false;
      mutex_.Await(absl::Condition(this, &OutcomeStream::SomethingToSend));
      if (stopping_) {
        return;
      }
    }
    const grpc::Status status = SendOverOneStream();
    if (status.error_code() == grpc::StatusCode::NOT_FOUND) {
      unknown_worker_();
    }
    absl::MutexLock lock(&mutex_);
    if (status.ok()) {
      backoff.Reset();
      continue;
    }
    if (!stopping_) {
      spdlog::warn("reports: {}; trying again", status.error_message());
    }
    mutex_.AwaitWithTimeout(absl::Condition(&stopping_), backoff.Next());
  }
}

grpc::Status OutcomeStream::SendOverOneStream() {
  grpc::ClientContext context;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) {
      return grpc::Status::OK;
    }
    context_ = &context;
  }
  std::unique_ptr<Stream> stream = stub_->StreamOutcomes(&context);
  std::thread reader([this, &stream] { ReadAcknowledgements(stream.get()); });
  for (;;) {
    v1::OutcomeReport report;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &OutcomeStream::SomethingToSend));
      if (stopping_ || broken_) {
        break;
      }
      const auto next = unacknowledged_.upper_bound(sent_);
      sent_ = next->first;
      report = next->second;
    }
    if (!stream->Write(report)) {
      break;
    }
  }
  stream->WritesDone();
  reader.join();
  const grpc::Status status = stream->Finish();
  absl::MutexLock lock(&mutex_);
  context_ = nullptr;
  return status;
}

void OutcomeStream::ReadAcknowledgements(Stream* stream) {
  v1::OutcomeAck ack;
  while (stream->Read(&ack)) {
    if (!ack.error().empty()) {
      spdlog::error("the coordinator refuses a report: {}", ack.error());
    }
    absl::MutexLock lock(&mutex_);
    unacknowledged_.erase(ack.sequence());
  }
  absl::MutexLock lock(&mutex_);
  broken_ = true;
}

}  // namespace bitquake
