#include "worker/agent/outcome_stream.h"

#include <utility>

#include "common/base/await.h"
#include "common/base/backoff.h"
#include "common/base/process.h"
#include "common/base/status_macros.h"
#include "spdlog/spdlog.h"

namespace bitquake {
namespace {

// Reports kept for a coordinator that is away before the worker takes no new leases: a bound of
// memory, as the spool's is of the disk.
constexpr size_t kMostUnacknowledged = 20'000;

}  // namespace

OutcomeStream::OutcomeStream(v1::WorkerService::StubInterface* stub, std::unique_ptr<Spool> spool,
                             OutcomeStreamHooks hooks)
    : stub_(stub), hooks_(std::move(hooks)), spool_(std::move(spool)) {
  absl::MutexLock lock(&mutex_);
  for (const auto& [sequence, bytes] : spool_->recovered()) {
    v1::OutcomeReport report;
    if (report.ParseFromString(bytes)) {
      unacknowledged_.emplace(sequence, std::move(report));
    } else {
      spdlog::error("spool: report {} is none of this program's; not sent", sequence);
    }
  }
  next_sequence_ = spool_->last_sequence() + 1;
  thread_ = std::thread([this] { Loop(); });
}

OutcomeStream::~OutcomeStream() { Stop(); }

absl::Status OutcomeStream::Claim(const SpoolOwner& owner) {
  absl::MutexLock lock(&mutex_);
  claimed_ = false;
  const bool left = !spool_->recovered().empty();
  RETURN_IF_ERROR(spool_->Claim(owner));
  if (left && spool_->recovered().empty()) {
    unacknowledged_.clear();  // set aside
  }
  worker_id_ = owner.worker;
  if (!std::exchange(recovered_, true)) {
    Recover();
  }
  claimed_ = true;
  return absl::OkStatus();
}

// Of leases that the process before this one left, some jobs may have been at work when it died.
void OutcomeStream::Recover() {
  if (unacknowledged_.empty()) {
    return;
  }
  spdlog::info("spool: delivering {} reports of the process before", unacknowledged_.size());
  std::map<int64_t, std::string> open;  // campaigns by lease
  for (const auto& [sequence, report] : unacknowledged_) {
    if (report.has_lease_end()) {
      open.erase(report.lease_id());
    } else {
      open[report.lease_id()] = report.campaign_id();
    }
  }
  for (const auto& [lease, campaign] : open) {
    v1::OutcomeReport end;
    end.set_lease_id(lease);
    end.set_campaign_id(campaign);
    end.mutable_lease_end()->set_lost(true);
    Add(std::move(end));
  }
}

void OutcomeStream::Send(v1::OutcomeReport report) {
  absl::MutexLock lock(&mutex_);
  Add(std::move(report));
}

void OutcomeStream::Add(v1::OutcomeReport report) {
  const int64_t sequence = next_sequence_++;
  report.set_worker_id(worker_id_);
  report.set_sequence(sequence);
  absl::Status spooled = spool_->Append(sequence, report.SerializeAsString());
  if (report.has_lease_end() && spooled.ok()) {
    spooled = spool_->Sync();
  }
  if (!spooled.ok() && !unspooled_) {
    spdlog::error("spool: {}; no new lease until what is in memory is delivered",
                  std::string(spooled.message()));
  }
  unspooled_ = unspooled_ || !spooled.ok();
  if (report.has_begun()) {
    at_work_ = report;
  } else if (report.has_lease_end()) {
    at_work_.reset();
  }
  unacknowledged_.emplace(sequence, std::move(report));
}

bool OutcomeStream::HasRoom() const {
  return hurry_ || stopping_ ||
         (unacknowledged_.size() <= kMostUnacknowledged && !spool_->full() && !unspooled_);
}

bool OutcomeStream::AwaitRoom() {
  absl::MutexLock lock(&mutex_);
  if (!HasRoom()) {
    spdlog::warn("{} reports wait for the coordinator: no new lease until there is room",
                 unacknowledged_.size());
    mutex_.Await(absl::Condition(this, &OutcomeStream::HasRoom));
  }
  return !hurry_ && !stopping_;
}

void OutcomeStream::Hurry() {
  absl::MutexLock lock(&mutex_);
  hurry_ = true;
}

bool OutcomeStream::AwaitUnacknowledged(size_t most, absl::Duration patience) {
  absl::MutexLock lock(&mutex_);
  auto few = [this, most]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return unacknowledged_.size() <= most || stopping_;
  };
  return AwaitFor(mutex_, absl::Condition(&few), patience);
}

size_t OutcomeStream::unacknowledged() const {
  absl::MutexLock lock(&mutex_);
  return unacknowledged_.size();
}

int64_t OutcomeStream::corrupt_records() const {
  absl::MutexLock lock(&mutex_);
  return spool_->corrupt_records();
}

std::set<int64_t> OutcomeStream::leases() const {
  absl::MutexLock lock(&mutex_);
  std::set<int64_t> leases;
  for (const auto& [sequence, report] : unacknowledged_) {
    leases.insert(report.lease_id());
  }
  return leases;
}

void OutcomeStream::set_retry_window(absl::Duration window) {
  absl::MutexLock lock(&mutex_);
  retry_window_ = window;
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

const v1::OutcomeReport* OutcomeStream::NextToSend() const {
  const auto next = unacknowledged_.upper_bound(sent_);
  const bool has_next = next != unacknowledged_.end();
  if (reminder_.has_value() && reminder_->sequence() > sent_ &&
      (!has_next || reminder_->sequence() < next->first)) {
    return &*reminder_;
  }
  return has_next ? &next->second : nullptr;
}

bool OutcomeStream::SomethingToSend() const {
  return stopping_ || broken_ || (claimed_ && NextToSend() != nullptr);
}

void OutcomeStream::Loop() {
  Backoff backoff({}, RandomNumber());
  for (;;) {
    {
      absl::MutexLock lock(&mutex_);
      sent_ = 0;
      broken_ = false;
      answered_ = false;
      reminder_ = at_work_;
      mutex_.Await(absl::Condition(this, &OutcomeStream::SomethingToSend));
      if (stopping_) {
        return;
      }
    }
    const grpc::Status status = SendOverOneStream();
    if (status.error_code() == grpc::StatusCode::NOT_FOUND) {
      hooks_.unknown_worker();
    }
    absl::MutexLock lock(&mutex_);
    if (status.ok() || answered_) {
      backoff.Reset();
    }
    if (status.ok()) {
      continue;
    }
    if (!stopping_) {
      spdlog::warn("reports: {}; trying again", status.error_message());
    }
    AwaitFor(mutex_, absl::Condition(&stopping_), backoff.Next(retry_window_));
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
      report = *NextToSend();
      sent_ = report.sequence();
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
    if (ack.ended_lease_id() != 0) {
      hooks_.lease_ended(ack.ended_lease_id());
      continue;
    }
    if (!ack.error().empty()) {
      spdlog::error("the coordinator refuses a report: {}", ack.error());
    }
    absl::MutexLock lock(&mutex_);
    answered_ = true;
    unacknowledged_.erase(ack.sequence());
    spool_->Acknowledge(ack.sequence());
    unspooled_ = unspooled_ && !unacknowledged_.empty();
  }
  absl::MutexLock lock(&mutex_);
  broken_ = true;
}

}  // namespace bitquake
