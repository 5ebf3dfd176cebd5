#include "client/cli/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/await.h"
#include "common/base/backoff.h"
#include "common/base/clock.h"
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

// The last line of a program's log.
std::string LastLine(const std::string& path) {
  const absl::StatusOr<std::string> log = ReadFile(path);
  if (!log.ok()) {
    return "";
  }
  const std::vector<std::string> lines = absl::StrSplit(*log, '\n', absl::SkipEmpty());
  return lines.empty() ? "" : lines.back();
}

// The words that exec takes: they point into `program` and `arguments`.
std::vector<char*> ExecArguments(std::string& program, std::vector<std::string>& arguments) {
  std::vector<char*> words = {program.data()};
  for (std::string& argument : arguments) {
    words.push_back(argument.data());
  }
  words.push_back(nullptr);
  return words;
}

absl::StatusOr<int> OpenLog(const std::string& path) {
  const int log = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  return log < 0 ? absl::StatusOr<int>(ErrnoStatus(path)) : log;
}

// Runs in the child between fork and exec: system calls only.
[[noreturn]] void Become(char* const* arguments, int out, int error, int ready, pid_t parent) {
  setpgid(0, 0);  // Ctrl-C reaches the parent alone, which ends its children in order
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) {
    _exit(1);  // the parent died before the line above
  }
  dup2(out, STDOUT_FILENO);
  dup2(error, STDERR_FILENO);
  if (ready >= 0) {
    fcntl(ready, F_SETFD, 0);
  }
  execv(arguments[0], arguments);
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
  ASSIGN_OR_RETURN(const int log, OpenLog(options_.log));
  int ready[2] = {-1, -1};
  std::string program = options_.program;
  std::vector<std::string> words = options_.arguments;
  if (options_.announces_ready) {
    if (pipe2(ready, O_CLOEXEC) != 0) {
      close(log);
      return ErrnoStatus("pipe");
    }
    words.push_back("--ready-fd");
    words.push_back(absl::StrCat(ready[1]));
  }
  const std::vector<char*> arguments = ExecArguments(program, words);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    Become(arguments.data(), log, log, ready[1], parent);
  }
  close(log);
  if (ready[1] >= 0) {
    close(ready[1]);
  }
  *ready_fd = ready[0];
  return child < 0 ? absl::StatusOr<pid_t>(ErrnoStatus("fork")) : child;
}

void ChildProcess::Keep() {
  const SystemClock clock;
  int quick_exits = 0;
  Backoff backoff({absl::Milliseconds(100), absl::Seconds(5)}, RandomNumber());
  for (;;) {
    const absl::Duration start = clock.Monotonic();
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
        clock.Monotonic() - start < options_.quick && WIFEXITED(wait_status) ? quick_exits + 1 : 0;
    if (quick_exits >= options_.quick_exits) {
      const absl::Status failure = absl::AbortedError(
          absl::StrCat(options_.program, " ", HowItEnded(wait_status),
                       " again and again: ", LastLine(options_.log), " (log: ", options_.log, ")"));
      {
        absl::MutexLock lock(&mutex_);
        failure_ = failure;
      }
      given_up_(failure);
      return;
    }
    died_(HowItEnded(wait_status));
    absl::MutexLock lock(&mutex_);
    AwaitFor(mutex_, absl::Condition(&stopping_), backoff.Next());
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
    if (!AwaitFor(mutex_, absl::Condition(&gone), grace) && running_) {
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

absl::Status RunToEnd(const std::string& program, const std::vector<std::string>& arguments,
                      const std::string& log, bool quiet) {
  ASSIGN_OR_RETURN(const int error, OpenLog(log));
  const int nowhere = quiet ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
  std::string name = program;
  std::vector<std::string> rest = arguments;
  const std::vector<char*> words = ExecArguments(name, rest);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    Become(words.data(), nowhere < 0 ? STDOUT_FILENO : nowhere, error, /*ready=*/-1, parent);
  }
  close(error);
  if (nowhere >= 0) {
    close(nowhere);
  }
  if (child < 0) {
    return ErrnoStatus("fork");
  }
  int wait_status = 0;
  while (waitpid(child, &wait_status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0) {
    return absl::OkStatus();
  }
  if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGPIPE) {
    return absl::AbortedError("what was printed is not read to its end");
  }
  const std::string said = LastLine(log);
  return absl::AbortedError(WIFEXITED(wait_status) && !said.empty()
                                ? said
                                : absl::StrCat(program, " ", HowItEnded(wait_status)));
}

}  // namespace bitquake
