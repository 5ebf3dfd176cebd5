#include "tests/bench/scale/fake_worker.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/build_info.h"
#include "tests/bench/scale/made_up_outcomes.h"

namespace bitquake {
namespace {

constexpr absl::Duration kLeaseWait = absl::Seconds(20);
constexpr absl::Duration kHeartbeatTime = absl::Seconds(20);  // a third of the default lease

std::chrono::system_clock::time_point After(absl::Duration time) {
  return std::chrono::system_clock::now() + absl::ToChronoMicroseconds(time);
}

// A connection for each worker, as if each were a process.
std::unique_ptr<v1::WorkerService::Stub> Connect(const std::string& server) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_CHANNELZ, 0);
  return v1::WorkerService::NewStub(
      grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(), arguments));
}

float Milliseconds(absl::Duration time) {
  return static_cast<float>(absl::ToDoubleMilliseconds(time));
}

}  // namespace

void Tally::LeasedFirstTrials() {
  const absl::Duration time = now();
  absl::MutexLock lock(&mutex_);
  figures_.first_trial = std::min(figures_.first_trial, time);
  figures_.last_begun = time;
}

void Tally::LeasedAgain(absl::Duration asked) {
  const absl::Duration time = now();
  absl::MutexLock lock(&mutex_);
  figures_.lease_ms.push_back(Milliseconds(time - asked));
}

void Tally::Acknowledged(absl::Duration sent, bool trial) {
  const absl::Duration time = now();
  absl::MutexLock lock(&mutex_);
  if (trial) {
    ++figures_.outcomes;
    figures_.report_ms.push_back(Milliseconds(time - sent));
  }
}

void Tally::Failed(const std::string& what) {
  absl::MutexLock lock(&mutex_);
  if (error_.empty()) {
    error_ = what;
  }
}

void Tally::Await(int64_t outcomes, absl::Duration time) {
  absl::MutexLock lock(&mutex_);
  auto done = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return figures_.outcomes >= outcomes || !error_.empty();
  };
  auto begun = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return figures_.first_trial < absl::InfiniteDuration() || !error_.empty();
  };
  mutex_.Await(absl::Condition(&begun));
  mutex_.AwaitWithTimeout(absl::Condition(&done), time);
}

Tally::Figures Tally::figures() const {
  absl::MutexLock lock(&mutex_);
  return figures_;
}

std::string Tally::error() const {
  absl::MutexLock lock(&mutex_);
  return error_;
}

FakeWorker::FakeWorker(const std::string& server, const ModelSnapshot* snapshot, Tally* tally,
                       FakeWorkerOptions options)
    : snapshot_(snapshot), tally_(tally), options_(std::move(options)), stub_(Connect(server)) {}

bool FakeWorker::Begin() {
  absl::MutexLock lock(&mutex_);
  if (stopping_) {
    return false;
  }
  ++under_way_;
  return true;
}

void FakeWorker::End() {
  absl::MutexLock lock(&mutex_);
  --under_way_;
}

void FakeWorker::Start() {
  registration_.set_protocol_version(kProtocolVersion);
  registration_.set_worker_id(options_.id);
  registration_.set_instance(
      absl::StrCat(options_.id, " ", absl::ToInt64Nanoseconds(tally_->now())));
  registration_.set_host("fake");
  registration_.set_version(kVersion);
  registration_.set_device_kind("fake");
  if (!Begin()) {
    return;
  }
  register_context_ = std::make_unique<grpc::ClientContext>();
  register_context_->set_wait_for_ready(true);
  stub_->async()->Register(register_context_.get(), &registration_, &registered_,
                           [this](const grpc::Status& status) {
                             if (status.ok()) {
                               OpenStream();
                               SetHeartbeatAlarm();
                               Lease();
                             } else {
                               tally_->Failed("Register: " + status.error_message());
                             }
                             End();
                           });
}

void FakeWorker::OpenStream() {
  if (!Begin()) {
    return;
  }
  {
    absl::MutexLock lock(&mutex_);
    streaming_ = true;
  }
  stub_->async()->StreamOutcomes(&stream_context_, this);
  AddHold();  // writes begin outside of the stream's own callbacks; Stop cancels it
  StartRead(&ack_);
  StartCall();
}

void FakeWorker::Lease() {
  absl::MutexLock lock(&mutex_);
  if (stopping_) {
    return;
  }
  ++under_way_;
  lease_call_ = std::make_unique<LeaseCall>();
  lease_call_->request.set_worker_id(options_.id);
  lease_call_->request.set_request_number(++request_number_);
  lease_call_->request.set_wait_seconds(absl::ToDoubleSeconds(kLeaseWait));
  asked_ = tally_->now();
  stub_->async()->LeaseJobs(&lease_call_->context, &lease_call_->request, &lease_call_->response,
                            [this](const grpc::Status& status) {
                              bool again = false;
                              {
                                absl::MutexLock lock(&mutex_);
                                if (!status.ok() && !stopping_) {
                                  tally_->Failed("LeaseJobs: " + status.error_message());
                                } else if (lease_call_->response.has_lease()) {
                                  TakeLease(lease_call_->response.lease());
                                } else {
                                  again = status.ok();
                                }
                              }
                              if (again) {
                                Lease();
                              }
                              End();
                            });
}

void FakeWorker::TakeLease(const v1::Lease& lease) {
  if (begun_) {
    tally_->LeasedAgain(asked_);
  } else if (lease.has_trials()) {
    begun_ = true;
    tally_->LeasedFirstTrials();
    next_report_ = tally_->now() + options_.first_report;
  }
  lease_ = lease.lease_id();
  for (v1::OutcomeReport& report : MakeUpOutcomes(lease, *snapshot_)) {
    AddReport(std::move(report));
  }
  v1::OutcomeReport end;
  end.set_lease_id(lease.lease_id());
  end.set_campaign_id(lease.campaign().campaign_id());
  end.mutable_lease_end();
  AddReport(std::move(end));
  SendNext();
}

void FakeWorker::AddReport(v1::OutcomeReport report) {
  report.set_worker_id(options_.id);
  report.set_sequence(++sequence_);
  reports_.push_back(std::move(report));
}

void FakeWorker::SendNext() {
  if (writing_ || alarmed_ || reports_.empty() || stopping_) {
    return;
  }
  const absl::Duration now = tally_->now();
  if (options_.between_reports > absl::ZeroDuration() && now < next_report_ &&
      reports_.front().has_trial()) {
    alarmed_ = true;
    ++under_way_;
    report_alarm_.Set(After(next_report_ - now), [this](bool) {
      {
        absl::MutexLock lock(&mutex_);
        alarmed_ = false;
        SendNext();
      }
      End();
    });
    return;
  }
  written_ = std::move(reports_.front());
  reports_.pop_front();
  if (written_.has_trial()) {
    next_report_ = std::max(next_report_ + options_.between_reports, now);
  }
  unacknowledged_[written_.sequence()] = {now, written_.has_trial()};
  writing_ = true;
  StartWrite(&written_);
}

void FakeWorker::OnWriteDone(bool ok) {
  bool done = false;
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (ok) {
      SendNext();
    }
    done = LeaseIsDone();
  }
  if (done) {
    Lease();
  }
}

bool FakeWorker::LeaseIsDone() {
  if (lease_ == 0 || writing_ || !reports_.empty() || !unacknowledged_.empty()) {
    return false;
  }
  lease_ = 0;
  return true;
}

void FakeWorker::OnReadDone(bool ok) {
  if (!ok) {
    return;
  }
  if (!ack_.error().empty()) {
    tally_->Failed("a report was refused: " + ack_.error());
  }
  if (ack_.ended_lease_id() != 0) {
    tally_->Failed(absl::StrCat("lease ", ack_.ended_lease_id(), " has ended"));
  }
  bool done = false;
  if (ack_.sequence() != 0) {
    absl::MutexLock lock(&mutex_);
    const auto sent = unacknowledged_.find(ack_.sequence());
    if (sent == unacknowledged_.end()) {
      tally_->Failed(
          absl::StrCat("an acknowledgement of ", ack_.sequence(), ", which waits for none"));
    } else {
      tally_->Acknowledged(sent->second.at, sent->second.trial);
      unacknowledged_.erase(sent);
    }
    done = LeaseIsDone();
  }
  StartRead(&ack_);
  if (done) {
    Lease();
  }
}

void FakeWorker::OnDone(const grpc::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    if (!stopping_) {
      tally_->Failed("StreamOutcomes: " + status.error_message());
    }
  }
  End();
}

void FakeWorker::SetHeartbeatAlarm() {
  if (!Begin()) {
    return;
  }
  heartbeat_alarm_.Set(
      After(std::min(kHeartbeatTime, absl::Seconds(registered_.lease_seconds()) / 3)),
      [this](bool due) {
        if (due) {
          Heartbeat();
        }
        End();
      });
}

void FakeWorker::Heartbeat() {
  absl::MutexLock lock(&mutex_);
  if (stopping_) {
    return;
  }
  ++under_way_;
  heartbeat_call_ = std::make_unique<HeartbeatCall>();
  heartbeat_call_->request.set_worker_id(options_.id);
  if (lease_ != 0) {
    heartbeat_call_->request.add_lease_ids(lease_);
  }
  stub_->async()->Heartbeat(&heartbeat_call_->context, &heartbeat_call_->request,
                            &heartbeat_call_->response, [this](const grpc::Status& status) {
                              bool again = false;
                              {
                                absl::MutexLock lock(&mutex_);
                                again = status.ok();
                                if (!status.ok() && !stopping_) {
                                  tally_->Failed("Heartbeat: " + status.error_message());
                                }
                              }
                              if (again) {
                                SetHeartbeatAlarm();
                              }
                              End();
                            });
}

void FakeWorker::Stop() {
  bool streaming = false;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    streaming = streaming_;
    if (lease_call_ != nullptr) {
      lease_call_->context.TryCancel();
    }
    if (heartbeat_call_ != nullptr) {
      heartbeat_call_->context.TryCancel();
    }
    if (register_context_ != nullptr) {
      register_context_->TryCancel();
    }
  }
  heartbeat_alarm_.Cancel();
  report_alarm_.Cancel();
  if (streaming) {
    stream_context_.TryCancel();
    RemoveHold();
  }
  absl::MutexLock lock(&mutex_);
  auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return under_way_ == 0; };
  mutex_.Await(absl::Condition(&idle));
}

}  // namespace bitquake
