#include "common/base/await.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>

namespace bitquake {
namespace {

using MonotonicTime = std::chrono::steady_clock::time_point;

// A wait that is to end at `deadline`.
struct Alarm {
  absl::Mutex* mutex;  // the waiter's
  MonotonicTime deadline;
  bool rung = false;  // guarded by the waiter's mutex
};

// One thread for all waits of the process: Abseil looks at conditions when a mutex is released, so
// at a deadline somebody has to take the waiter's mutex and let go of it.
class AlarmClock {
 public:
  // Lives as long as the process, as its thread does.
  static AlarmClock& Get() {
    static AlarmClock& clock = *new AlarmClock;
    return clock;
  }

  void Set(Alarm* alarm) {
    const std::lock_guard lock(mutex_);
    alarms_.push_back(alarm);
    if (alarm->deadline < next_) {
      changed_.notify_one();
    }
  }

  // With the waiter's mutex held; it is released meanwhile if the alarm rings just then.
  void Clear(Alarm* alarm) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    std::unique_lock lock(mutex_);
    if (ringing_ != alarm) {
      alarms_.remove(alarm);
      return;
    }
    alarm->mutex->Unlock();
    rung_.wait(lock, [&] { return ringing_ != alarm; });
    lock.unlock();  // never held while a waiter's is waited for
    alarm->mutex->Lock();
  }

 private:
  AlarmClock() {
    std::thread([this] { Loop(); }).detach();
  }

  void Loop() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    std::unique_lock lock(mutex_);
    for (;;) {
      const auto first = std::min_element(
          alarms_.begin(), alarms_.end(),
          [](const Alarm* a, const Alarm* b) { return a->deadline < b->deadline; });
      if (first == alarms_.end()) {
        next_ = MonotonicTime::max();
        changed_.wait(lock);
      } else if (std::chrono::steady_clock::now() < (*first)->deadline) {
        next_ = (*first)->deadline;
        changed_.wait_until(lock, next_);
      } else {
        ringing_ = *first;
        alarms_.erase(first);
        lock.unlock();
        ringing_->mutex->Lock();
        ringing_->rung = true;
        ringing_->mutex->Unlock();
        lock.lock();
        ringing_ = nullptr;
        rung_.notify_all();
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;  // an alarm before next_
  std::condition_variable rung_;
  std::list<Alarm*> alarms_;  // few: one for each thread that waits
  Alarm* ringing_ = nullptr;
  MonotonicTime next_ = MonotonicTime::max();
};

struct Wait {
  const absl::Condition* condition;
  Alarm alarm;

  bool IsOver() const { return alarm.rung || condition->Eval(); }
};

}  // namespace

bool AwaitFor(absl::Mutex& mutex, const absl::Condition& condition, absl::Duration duration) {
  // A bound for what has no end, which the clock could not count.
  constexpr absl::Duration kLongest = absl::Hours(24 * 365);
  if (condition.Eval()) {
    return true;
  }
  if (duration <= absl::ZeroDuration()) {
    return false;
  }
  if (duration > kLongest) {
    mutex.Await(condition);
    return true;
  }
  Wait wait{&condition,
            {&mutex, std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(duration)}};
  AlarmClock::Get().Set(&wait.alarm);
  mutex.Await(absl::Condition(&wait, &Wait::IsOver));
  AlarmClock::Get().Clear(&wait.alarm);
  return condition.Eval();
}

}  // namespace bitquake
