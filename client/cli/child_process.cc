#include "client/cli/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/base/backoff.h"
#include "common/base/file.h"
#include "common/base/process.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace bitquake {
namespace {

std::string HowItEnded(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    return absl::StrCat("was ended by signal ", WTERMSIG(wait_status));
  }
  return absl::StrCat("exited with code ", WEXITSTATUS(wait_status));
}

// Runs in the child between fork and exec: system calls only.
[[noreturn]] void Become(const char* program, char* const* arguments, int log, int ready,
                         pid_t parent) {
  setpgid(0, 0);  // Ctrl-C reaches the parent alone, which ends its children in order
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) {
    _exit(1);  // the parent died before the line above
  }
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  if (ready >= 0) {
    fcntl(ready, F_SETFD, 0);
  }
  execv(program, arguments);
  _exit(127);
}

}  // namespace

ChildProcess::ChildProcess(ChildOptions options, std::function<void(const std::string&)> died,
                           std::function<void(absl::Status)> given_up)
    : options_(std::move(options)), died_(std::move(died)), given_up_(std::move(given_up)) {
  ready_ = !options_.announces_ready;
  // The death signal comes when the thread that forked ends: this one lives as long as the object.
  keeper_ = std::thread([this] { Keep(); });
}

ChildProcess::~ChildProcess() { Stop(); }

absl::StatusOr<pid_t> ChildProcess::Spawn(int* ready_fd) {
  const int log = open(options_.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (log < 0) {
    return ErrnoStatus(options_.log);
  }
  int ready[2] = {-1, -1};
  std::vector<std::string> words = {options_.program};
  words.insert(words.end(), options_.arguments.begin(), options_.arguments.end());
  if (options_.announces_ready) {
    if (pipe2(ready, O_CLOEXEC) != 0) {
      close(log);
      return ErrnoStatus("pipe");
    }
    words.push_back("--ready-fd");
    words.push_back(absl::StrCat(ready[1]));
  }
  std::vector<char*> arguments;
  for (std::string& word : words) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    Become(options_.program.c_str(), arguments.data(), log, ready[1], parent);
  }
  close(log);
  if (ready[1] >= 0) {
    close(ready[1]);
  }
  *ready_fd = ready[0];
  return child < 0 ? absl::StatusOr<pid_t>(ErrnoStatus("fork")) : child;
}

std::string ChildProcess::LogTail() const {
  const absl::StatusOr<std::string> log = ReadFile(options_.log);
  if (!log.ok()) {
    return "";
  }
  const std::vector<std::string> lines = absl::StrSplit(*log, '\n', absl::SkipEmpty());
  return lines.empty() ? "" : lines.back();
}

void ChildProcess::Keep() {
  int quick_exits = 0;
  Backoff backoff({absl::Milliseconds(100), absl::Seconds(5)}, RandomNumber());
  for (;;) {
    const absl::Time start = absl::Now();
    int ready_fd = -1;
    absl::StatusOr<pid_t> child = absl::UnknownError("not started");
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) {
        return;
      }
      child = Spawn(&ready_fd);
      if (child.ok()) {
        pid_ = *child;
        running_ = true;
      } else {
        failure_ = child.status();
      }
    }
    if (!child.ok()) {
      given_up_(child.status());
      return;
    }
    if (ready_fd >= 0) {
      char byte;
      const bool announced = read(ready_fd, &byte, 1) == 1;  // or the end, when the child ends
      close(ready_fd);
      absl::MutexLock lock(&mutex_);
      ready_ = ready_ || announced;
    }
    int wait_status = 0;
    siginfo_t info{};
    // First only look: while the process is a zombie, its number is not used again, and Stop may
    // signal it.
    while (waitid(P_PID, *child, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
    }
    {
      absl::MutexLock lock(&mutex_);
      waitpid(*child, &wait_status, 0);
      running_ = false;
      if (stopping_) {
        return;
      }
    }
    quick_exits =
        absl::Now() - start < options_.quick && WIFEXITED(wait_status) ? quick_exits + 1 : 0;
    if (quick_exits >= options_.quick_exits) {
      const absl::Status failure = absl::AbortedError(
          absl::StrCat(options_.program, " ", HowItEnded(wait_status),
                       " again and again: ", LogTail(), " (log: ", options_.log, ")"));
      {
        absl::MutexLock lock(&mutex_);
        failure_ = failure;
      }
      given_up_(failure);
      return;
    }
    died_(HowItEnded(wait_status));
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&stopping_), backoff.Next());
  }
}

absl::Status ChildProcess::AwaitReady() {
  absl::MutexLock lock(&mutex_);
  auto settled = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return ready_ || stopping_ || !failure_.ok();
  };
  mutex_.Await(absl::Condition(&settled));
  return failure_;
}

void ChildProcess::Stop(absl::Duration grace) {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    if (running_) {
      kill(pid_, SIGTERM);
    }
    auto gone = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !running_; };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&gone), grace) && running_) {
      kill(pid_, SIGKILL);
    }
  }
  if (keeper_.joinable()) {
    keeper_.join();
  }
}

pid_t ChildProcess::pid() const {
  absl::MutexLock lock(&mutex_);
  return pid_;
}

}  // namespace bitquake
