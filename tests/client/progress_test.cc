#include "client/cli/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace bitquake {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Keeps apart what each write(2) wrote.
class Screen {
 public:
  Screen() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends_), 0); }
  ~Screen() {
    close(ends_[0]);
    close(ends_[1]);
  }

  int fd() const { return ends_[1]; }

  // The next write; waits for it.
  std::string Next() const {
    char buffer[4096];
    const ssize_t n = recv(ends_[0], buffer, sizeof(buffer), 0);
    return n < 0 ? "" : std::string(buffer, static_cast<size_t>(n));
  }

  // Those that were written and not yet taken.
  std::vector<std::string> All() const {
    std::vector<std::string> writes;
    pollfd ready = {ends_[0], POLLIN, 0};
    while (poll(&ready, 1, 0) == 1) {
      writes.push_back(Next());
    }
    return writes;
  }

 private:
  int ends_[2];
};

CampaignStatus Status(int64_t done) {
  CampaignStatus status;
  status.name = "demo";
  status.state = done == 4 ? "done" : "running";
  status.jobs_total = 4;
  status.jobs_done = done;
  status.eta_seconds = done == 4 ? 0 : 60;
  return status;
}

ProgressOptions Terminal(const Screen& screen) {
  ProgressOptions options;
  options.fd = screen.fd();
  options.terminal = true;
  return options;
}

ProgressOptions Pipe(const Screen& screen) {
  ProgressOptions options;
  options.fd = screen.fd();
  return options;
}

TEST(Progress, AFrameIsOneWriteThatErasesWhatWasThere) {
  const Screen screen;
  Progress progress(Terminal(screen));
  progress.Show(Status(1));
  progress.Show(Status(2));
  EXPECT_EQ(screen.Next(), "\rdemo  1/4 25%  1m00s left  0 workers\x1b[K");
  EXPECT_EQ(screen.Next(), "\rdemo  2/4 50%  1m00s left  0 workers\x1b[K");
}

TEST(Progress, TheTimeLeftIsRedrawnWithoutNews) {
  const Screen screen;
  Progress progress(Terminal(screen));
  progress.Show(Status(1));
  EXPECT_THAT(screen.Next(), HasSubstr("1m00s left"));
  EXPECT_THAT(screen.Next(), HasSubstr("59s left"));
}

TEST(Progress, ANoteStandsAboveTheLine) {
  const Screen screen;
  Progress progress(Terminal(screen));
  progress.Note("begins");
  EXPECT_EQ(screen.Next(), "\rbegins\x1b[K\n\x1b[K");
  progress.Show(Status(1));
  screen.Next();
  progress.Note("worker 1 was ended by signal 9; starting it again");
  EXPECT_EQ(screen.Next(),
            "\rworker 1 was ended by signal 9; starting it again\x1b[K\n"
            "demo  1/4 25%  1m00s left  0 workers\x1b[K");
}

TEST(Progress, AServerThatIsAwayIsSaidOnceAndWhenItIsBack) {
  const Screen screen;
  Progress progress(Terminal(screen));
  progress.Show(Status(1));
  screen.Next();
  progress.Away("the server is away");
  progress.Away("the server is away");
  EXPECT_THAT(screen.Next(),
              StartsWith("\rthe server is away\x1b[K\nwaiting for the server, "));
  EXPECT_THAT(screen.Next(), StartsWith("\rwaiting for the server, "));  // counts the seconds
  progress.Show(Status(2));
  std::string frame;
  do {
    frame = screen.Next();
  } while (frame.find("is back") == std::string::npos);
  EXPECT_THAT(frame, StartsWith("\rthe server is back after "));
  EXPECT_THAT(frame, EndsWith("\x1b[K\ndemo  2/4 50%  1m00s left  0 workers\x1b[K"));
}

TEST(Progress, TheLastStateStays) {
  const Screen screen;
  {
    Progress progress(Terminal(screen));
    progress.Show(Status(4));
  }
  EXPECT_THAT(screen.All(),
              ElementsAre("\rdemo  done  4/4 100%\x1b[K", "\rdemo  done  4/4 100%\x1b[K", "\n"));
}

TEST(Progress, APipeGetsALineForEachStateAndNoEscapes) {
  const Screen screen;
  {
    Progress progress(Pipe(screen));
    progress.Show(Status(1));
    progress.Show(Status(2));  // too soon for a line of its own
    progress.Away("the server is away");
    progress.Away("the server is away");
    progress.Show(Status(4));
  }
  EXPECT_THAT(screen.All(),
              ElementsAre("demo: running 1/4 jobs, 1m00s left, 0 workers\n", "the server is away\n",
                          StartsWith("the server is back after "), "demo: done 4/4 jobs\n"));
}

}  // namespace
}  // namespace bitquake
