#include "server/store/writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "server/store/database.h"
#include "tests/server/cluster.h"

namespace bitquake {
namespace {

using testing::Each;
using testing::ElementsAre;

class WriterTest : public testing::Test {
 protected:
  WriterTest() { Start(); }

  void Start() {
    absl::StatusOr<Database> db = Database::Open(path_, Database::Mode::kReadWrite);
    ASSERT_TRUE(db.ok()) << db.status();
    ASSERT_TRUE(db->RunScript("CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY, b TEXT)").ok());
    WriterHooks hooks;
    hooks.tick = [this](Database& db) { return tick_(db); };
    hooks.ended = [this](const absl::Status& status) { ended_.push_back(status.code()); };
    writer_.emplace(*std::move(db), &clock_, std::move(hooks));
  }

  // Holds the writer's thread in a request of its own until Release(): what is submitted meanwhile
  // shares its transaction.
  void Hold() {
    auto entered = std::make_shared<absl::Notification>();
    writer_->Submit(
        [this, entered](Database&) {
          entered->Notify();
          release_.WaitForNotification();
          return absl::OkStatus();
        },
        [](const absl::Status&) {});
    entered->WaitForNotification();
  }
  void Release() { release_.Notify(); }

  static Writer::Request Insert(int a) {
    return [a](Database& db) { return db.Run("INSERT INTO t (a) VALUES (?)", {a}); };
  }

  // What another connection sees on disk.
  std::vector<int64_t> Stored() {
    absl::StatusOr<Database> db = Database::Open(path_, Database::Mode::kReadOnly);
    std::vector<int64_t> found;
    const absl::Status read = db->ForEach("SELECT a FROM t ORDER BY a", {}, [&](const Row& row) {
      found.push_back(row.Int(0));
      return absl::OkStatus();
    });
    EXPECT_TRUE(read.ok()) << read;
    return found;
  }

  ScratchFolder folder_;
  const std::string path_ = folder_.Path("test.db");
  FakeClock clock_;
  absl::Notification release_;
  std::function<absl::Duration(Database&)> tick_ = [](Database&) {
    return absl::InfiniteDuration();
  };
  std::vector<absl::StatusCode> ended_;  // the writer's thread's until Stop
  std::optional<Writer> writer_;
};

TEST_F(WriterTest, AnAcknowledgedRequestIsOnDiskAndRepliesKeepTheOrder) {
  Hold();
  std::vector<int> order;
  std::vector<std::vector<int64_t>> seen;
  absl::BlockingCounter replies(3);
  for (const int a : {1, 2, 3}) {
    writer_->Submit(Insert(a), [&, a](const absl::Status& status) {
      EXPECT_TRUE(status.ok()) << status;
      order.push_back(a);
      seen.push_back(Stored());  // in the reply itself
      replies.DecrementCount();
    });
  }
  Release();
  replies.Wait();
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
  EXPECT_THAT(seen, Each(ElementsAre(1, 2, 3)));
}

TEST_F(WriterTest, RequestsThatWaitShareATransaction) {
  Hold();
  absl::BlockingCounter replies(100);
  for (int a = 0; a < 100; ++a) {
    writer_->Submit(Insert(a), [&](const absl::Status&) { replies.DecrementCount(); });
  }
  const uint64_t before = writer_->commit_seconds().histogram.sample_count;
  Release();
  replies.Wait();
  EXPECT_EQ(writer_->commit_seconds().histogram.sample_count, before + 1);
}

// Requests of 4 ms each: those that begin within 10 ms are answered before the rest of a burst
// runs.
TEST_F(WriterTest, ABurstIsCutIntoTransactions) {
  Hold();
  constexpr int kBurst = 10;
  int ran = 0;  // the writer's thread's until the replies have come
  std::vector<int> ran_when_answered;
  absl::BlockingCounter replies(kBurst);
  for (int i = 0; i < kBurst; ++i) {
    writer_->Submit(
        [&](Database&) {
          ++ran;
          clock_.Advance(absl::Milliseconds(4));
          return absl::OkStatus();
        },
        [&](const absl::Status&) {
          ran_when_answered.push_back(ran);
          replies.DecrementCount();
        });
  }
  Release();
  replies.Wait();
  EXPECT_THAT(ran_when_answered, ElementsAre(3, 3, 3, 6, 6, 6, 9, 9, 9, 10));
}

TEST_F(WriterTest, AFailingRequestLeavesNoTraceAndHarmsNoOther) {
  Hold();
  absl::BlockingCounter replies(3);
  std::vector<absl::Status> statuses(3);
  const auto reply = [&](int i) {
    return [&, i](const absl::Status& status) {
      statuses[i] = status;
      replies.DecrementCount();
    };
  };
  writer_->Submit(Insert(1), reply(0));
  writer_->Submit(
      [](Database& db) {
        EXPECT_TRUE(db.Run("INSERT INTO t (a) VALUES (2)").ok());
        EXPECT_TRUE(db.Run("DELETE FROM t WHERE a = 1").ok());
        return absl::OutOfRangeError("its own error");
      },
      reply(1));
  writer_->Submit(Insert(3), reply(2));
  Release();
  replies.Wait();
  EXPECT_TRUE(statuses[0].ok()) << statuses[0];
  EXPECT_EQ(statuses[1], absl::OutOfRangeError("its own error"));
  EXPECT_TRUE(statuses[2].ok()) << statuses[2];
  EXPECT_THAT(Stored(), ElementsAre(1, 3));
}

TEST_F(WriterTest, TickRunsInTheTransactionAfterItsRequests) {
  Hold();
  int64_t seen = -1;
  tick_ = [&](Database& db) {
    seen = **db.QueryInt("SELECT count(*) FROM t");
    return absl::InfiniteDuration();
  };
  Release();
  ASSERT_TRUE(writer_->SubmitAndWait(Insert(1)).ok());
  EXPECT_EQ(seen, 1);
}

TEST_F(WriterTest, WakeRunsTickWithoutARequest) {
  ASSERT_TRUE(writer_->SubmitAndWait(Insert(1)).ok());
  absl::Notification ticked;
  Hold();
  tick_ = [&, calls = 0](Database&) mutable {
    if (++calls == 2) {  // the first is that of the request that holds the thread
      ticked.Notify();
    }
    return absl::InfiniteDuration();
  };
  writer_->Wake();
  Release();
  EXPECT_TRUE(ticked.WaitForNotificationWithTimeout(absl::Seconds(60)));
  writer_->Stop();
}

TEST_F(WriterTest, ATickThatIsDueRunsByItself) {
  absl::Notification ticked;
  Hold();
  tick_ = [&, calls = 0](Database&) mutable {
    if (++calls == 2) {
      ticked.Notify();
    }
    return calls == 1 ? clock_.Monotonic() : absl::InfiniteDuration();
  };
  Release();
  EXPECT_TRUE(ticked.WaitForNotificationWithTimeout(absl::Seconds(60)));
  writer_->Stop();
}

TEST_F(WriterTest, ADiskThatIsFullIsResourceExhaustedAndLosesNothingAcknowledged) {
  ASSERT_TRUE(writer_->SubmitAndWait(Insert(1)).ok());
  ASSERT_TRUE(writer_
                  ->SubmitAndWait([](Database& db) {
                    const int64_t pages = **db.QueryInt("PRAGMA page_count");
                    return db.RunScript(absl::StrCat("PRAGMA max_page_count = ", pages));
                  })
                  .ok());
  const std::string large(1 << 20, 'x');
  const absl::Status full = writer_->SubmitAndWait(
      [&](Database& db) { return db.Run("INSERT INTO t VALUES (2, ?)", {large}); });
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted) << full;
  EXPECT_THAT(Stored(), ElementsAre(1));

  // With space again, work goes on.
  ASSERT_TRUE(writer_
                  ->SubmitAndWait(
                      [](Database& db) { return db.RunScript("PRAGMA max_page_count = 1000000"); })
                  .ok());
  EXPECT_TRUE(writer_->SubmitAndWait(Insert(3)).ok());
  EXPECT_THAT(Stored(), ElementsAre(1, 3));
}

TEST_F(WriterTest, OnAFullDiskARequestIsOnDiskJustWhenItIsAcknowledged) {
  ASSERT_TRUE(writer_
                  ->SubmitAndWait([](Database& db) {
                    const int64_t pages = **db.QueryInt("PRAGMA page_count");
                    return db.RunScript(absl::StrCat("PRAGMA max_page_count = ", pages));
                  })
                  .ok());
  Hold();
  const std::string large(1 << 20, 'x');
  absl::BlockingCounter replies(3);
  std::vector<int64_t> acknowledged;
  for (const int a : {1, 2, 3}) {
    writer_->Submit(
        [&, a](Database& db) {
          return db.Run("INSERT INTO t VALUES (?, ?)", {a, a == 2 ? large : std::string("small")});
        },
        [&, a](const absl::Status& status) {
          if (status.ok()) {
            acknowledged.push_back(a);
          } else {
            EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
          }
          replies.DecrementCount();
        });
  }
  Release();
  replies.Wait();
  EXPECT_EQ(Stored(), acknowledged);
}

TEST_F(WriterTest, TheEndHookAndTheReplyAreToldThatACommitFailed) {
  Hold();
  // A deferred constraint fails the commit and nothing before it.
  const auto broken = [](Database& db) {
    return db.RunScript(
        "PRAGMA defer_foreign_keys = ON; CREATE TABLE child (a INTEGER REFERENCES t (a)); INSERT "
        "INTO child VALUES (99)");
  };
  absl::BlockingCounter replies(2);
  std::vector<absl::StatusCode> codes;
  const auto reply = [&](const absl::Status& status) {
    codes.push_back(status.code());
    replies.DecrementCount();
  };
  writer_->Submit(Insert(1), reply);
  writer_->Submit(broken, reply);
  Release();
  replies.Wait();
  EXPECT_THAT(codes, Each(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(Stored(), ElementsAre());
  EXPECT_TRUE(writer_->SubmitAndWait(Insert(2)).ok());
  EXPECT_THAT(Stored(), ElementsAre(2));
  writer_->Stop();
  EXPECT_EQ(std::count(ended_.begin(), ended_.end(), absl::StatusCode::kAlreadyExists), 1);
  EXPECT_EQ(ended_.back(), absl::StatusCode::kOk);
}

// Each of them takes longer than a transaction has for its kind.
TEST_F(WriterTest, ATransactionTakesOneOfEachKindImmediateOnesFirst) {
  Hold();
  std::vector<std::string> order;  // the writer's thread's until the replies have come
  absl::BlockingCounter replies(7);
  const auto submit = [&](const std::string& name, Writer::Priority priority) {
    writer_->Submit(
        [&, name](Database&) {
          order.push_back(name);
          clock_.Advance(absl::Milliseconds(50));
          return absl::OkStatus();
        },
        [&](const absl::Status&) { replies.DecrementCount(); }, priority);
  };
  for (const char* name : {"patient 1", "patient 2", "patient 3"}) {
    submit(name, Writer::Priority::kPatient);
  }
  for (const char* name : {"urgent 1", "urgent 2"}) {
    submit(name, Writer::Priority::kUrgent);
  }
  for (const char* name : {"immediate 1", "immediate 2"}) {
    submit(name, Writer::Priority::kImmediate);
  }
  Release();
  replies.Wait();
  // The transaction under way was past its immediate ones.
  EXPECT_THAT(order, ElementsAre("urgent 1", "patient 1", "immediate 1", "urgent 2", "patient 2",
                                 "immediate 2", "patient 3"));
}

// Of 1000 patient requests that wait, each of which takes longer than a transaction has for them,
// an urgent one waits for one; and they go on while urgent ones keep coming.
TEST_F(WriterTest, AnUrgentRequestWaitsForOnePatientOneAndNeitherForEver) {
  constexpr int kPatient = 1000;
  Hold();
  int patient = 0;  // that ran; the writer's thread's until the replies have come
  std::vector<int> ran_before_urgent;
  absl::BlockingCounter replies(2 * kPatient);
  const auto answered = [&](const absl::Status& status) {
    EXPECT_TRUE(status.ok()) << status;
    replies.DecrementCount();
  };
  for (int i = 0; i < kPatient; ++i) {
    writer_->Submit(
        [&](Database&) {
          ++patient;
          clock_.Advance(absl::Milliseconds(50));
          writer_->Submit(
              [&, then = patient](Database&) {
                ran_before_urgent.push_back(patient - then);
                return absl::OkStatus();
              },
              answered);
          return absl::OkStatus();
        },
        answered, Writer::Priority::kPatient);
  }
  Release();
  replies.Wait();
  EXPECT_EQ(patient, kPatient);
  EXPECT_EQ(ran_before_urgent.size(), static_cast<size_t>(kPatient));
  EXPECT_THAT(ran_before_urgent, Each(0));
}

TEST_F(WriterTest, RequestsOfAllKindsAreAnsweredAlsoIfNoTransactionBegins) {
  ASSERT_TRUE(
      writer_->SubmitAndWait([](Database& db) { return db.RunScript("PRAGMA busy_timeout = 0"); })
          .ok());
  absl::StatusOr<Database> other = Database::Open(path_, Database::Mode::kReadWrite);
  ASSERT_TRUE(other->Run("BEGIN IMMEDIATE").ok());  // now nobody else can
  for (const auto priority :
       {Writer::Priority::kImmediate, Writer::Priority::kUrgent, Writer::Priority::kPatient}) {
    absl::Notification done;
    absl::Status status;
    writer_->Submit([](Database&) { return absl::OkStatus(); },
                    [&](const absl::Status& answer) {
                      status = answer;
                      done.Notify();
                    },
                    priority);
    ASSERT_TRUE(done.WaitForNotificationWithTimeout(absl::Seconds(60)));
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  }
  ASSERT_TRUE(other->Run("COMMIT").ok());
  EXPECT_TRUE(writer_->SubmitAndWait(Insert(1)).ok());
}

TEST_F(WriterTest, StopDoesWhatWasSubmittedThenAnswersUnavailable) {
  Hold();
  absl::BlockingCounter replies(50);
  for (int a = 0; a < 50; ++a) {
    writer_->Submit(Insert(a), [&](const absl::Status& status) {
      EXPECT_TRUE(status.ok()) << status;
      replies.DecrementCount();
    });
  }
  std::thread stopper([&] { writer_->Stop(); });
  Release();
  replies.Wait();
  stopper.join();
  EXPECT_EQ(Stored().size(), 50u);
  EXPECT_EQ(writer_->SubmitAndWait(Insert(100)).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(std::filesystem::file_size(path_ + "-wal"), 0u);  // all is in the one file
}

}  // namespace
}  // namespace bitquake
