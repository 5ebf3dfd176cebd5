#include "worker/agent/spool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/worker/data/scratch.h"

namespace bitquake {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

const SpoolOwner kOwner = {"store-a", "w", "abacus"};

class SpoolTest : public ::testing::Test {
 protected:
  std::unique_ptr<Spool> Open(int64_t most_bytes = 1 << 20) {
    absl::StatusOr<std::unique_ptr<Spool>> spool = Spool::Open({folder_, most_bytes});
    EXPECT_TRUE(spool.ok()) << spool.status();
    return spool.ok() ? *std::move(spool) : nullptr;
  }

  // What is in it after a process that appended these was killed.
  void Leave(const std::map<int64_t, std::string>& reports, const SpoolOwner& owner = kOwner) {
    const std::unique_ptr<Spool> spool = Open();
    ASSERT_TRUE(spool->Claim(owner).ok());
    for (const auto& [sequence, report] : reports) {
      ASSERT_TRUE(spool->Append(sequence, report).ok());
    }
  }

  std::string Bytes() { return *ReadFile(folder_ + "/reports"); }
  void Replace(const std::string& bytes) {
    ASSERT_TRUE(WriteFileAtomically(folder_ + "/reports", bytes).ok());
  }

  ScratchFolder scratch_;
  const std::string folder_ = scratch_.Path("state/spool");
};

TEST_F(SpoolTest, KeepsWhatIsNotAcknowledgedOverARestart) {
  {
    const auto spool = Open();
    EXPECT_EQ(spool->owner(), SpoolOwner());
    ASSERT_TRUE(spool->Claim(kOwner).ok());
    for (const int64_t sequence : {1, 2, 3}) {
      ASSERT_TRUE(spool->Append(sequence, absl::StrCat("report ", sequence)).ok());
    }
    spool->Acknowledge(2);
    spool->Acknowledge(7);  // which it never had
    EXPECT_TRUE(spool->Sync().ok());
  }
  const auto spool = Open();
  EXPECT_EQ(spool->owner(), kOwner);
  EXPECT_THAT(spool->recovered(), ElementsAre(Pair(1, "report 1"), Pair(3, "report 3")));
  EXPECT_EQ(spool->last_sequence(), 3);
  EXPECT_EQ(spool->corrupt_records(), 0);
  EXPECT_TRUE(spool->Claim(kOwner).ok());
  spool->Acknowledge(1);
  spool->Acknowledge(3);
  EXPECT_EQ(spool->live_bytes(), 0);
}

TEST_F(SpoolTest, OneProcessHoldsIt) {
  const auto first = Open();
  const auto second = Spool::Open({folder_, 1});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(second.status().message(), AllOf(HasSubstr(folder_), HasSubstr("--spool")));
}

TEST_F(SpoolTest, CutATornEndOffWhereverItWasTorn) {
  Leave({{1, "the first"}, {2, "the second"}});
  const std::string whole = Bytes();
  const size_t second = whole.size() - SpoolReport(2, "the second").size();
  for (size_t length = second; length < whole.size(); ++length) {
    Replace(whole.substr(0, length));
    const auto spool = Open();
    EXPECT_THAT(spool->recovered(), ElementsAre(Pair(1, "the first"))) << length;
    EXPECT_EQ(spool->corrupt_records(), 0) << length;
    EXPECT_EQ(Bytes().size(), second) << length;
  }
  Replace(whole + std::string(100, '\0'));  // as a file system leaves it after a power loss
  EXPECT_EQ(Open()->recovered().size(), 2u);
}

TEST_F(SpoolTest, SetARecordAsideWhicheverOfItsBitsIsFlipped) {
  Leave({{1, "the first"}, {2, "the second"}, {3, "the third"}});
  const std::string whole = Bytes();
  const size_t second_size = SpoolReport(2, "the second").size();
  const size_t second = whole.size() - SpoolReport(3, "the third").size() - second_size;
  for (size_t bit = 0; bit < 8 * second_size; bit += 5) {
    std::string bytes = whole;
    bytes[second + bit / 8] = static_cast<char>(bytes[second + bit / 8] ^ (1 << bit % 8));
    Replace(bytes);
    std::filesystem::remove(folder_ + "/corrupt");
    const auto spool = Open();
    EXPECT_THAT(spool->recovered(), ElementsAre(Pair(1, "the first"), Pair(3, "the third"))) << bit;
    EXPECT_EQ(spool->corrupt_records(), 1) << bit;
    EXPECT_EQ(*ReadFile(folder_ + "/corrupt"), bytes.substr(second, second_size)) << bit;
  }
  EXPECT_EQ(Open()->corrupt_records(), 0) << "set aside once";
}

TEST_F(SpoolTest, SetAsideACorruptEnd) {
  Leave({{1, "the first"}, {2, "the second"}});
  std::string bytes = Bytes();
  bytes.back() = '?';
  Replace(bytes);
  const auto spool = Open();
  EXPECT_THAT(spool->recovered(), ElementsAre(Pair(1, "the first")));
  EXPECT_EQ(spool->corrupt_records(), 1);
}

TEST_F(SpoolTest, SendNothingWhereTheHeaderIsCorrupt) {
  Leave({{1, "whose is it?"}});
  const std::string whole = Bytes();
  for (size_t byte = 0; byte < SpoolHeader(kOwner).size(); ++byte) {
    if (byte >= 8 && byte < 12) {
      continue;  // the version
    }
    std::string bytes = whole;
    bytes[byte] ^= 4;
    Replace(bytes);
    const auto spool = Open();
    EXPECT_THAT(spool->recovered(), IsEmpty()) << byte;
    EXPECT_EQ(spool->corrupt_records(), 1) << byte;
    EXPECT_EQ(spool->owner(), SpoolOwner()) << byte;
  }
}

TEST_F(SpoolTest, RefuseAnotherVersion) {
  Leave({{1, "report"}});
  std::string bytes = Bytes();
  bytes[8] = 2;
  Replace(bytes);
  const auto spool = Spool::Open({folder_, 1});
  EXPECT_EQ(spool.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(spool.status().message(), AllOf(HasSubstr("version 2"), HasSubstr("reports")));
  EXPECT_EQ(Bytes(), bytes) << "nothing is touched";
}

TEST_F(SpoolTest, RefuseReportsForAnotherStoreOrOfAnotherWorkerByName) {
  Leave({{1, "report"}});
  const auto spool = Open();
  for (const SpoolOwner& other :
       {SpoolOwner{"store-b", "w", "abacus"}, SpoolOwner{"store-a", "v", "abacus"}}) {
    const absl::Status claimed = spool->Claim(other);
    EXPECT_EQ(claimed.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(claimed.message(), AllOf(HasSubstr(folder_), HasSubstr("store-a"),
                                         HasSubstr(other.store), HasSubstr("'w'")));
  }
  EXPECT_TRUE(spool->Claim(kOwner).ok());
  spool->Acknowledge(1);
  const SpoolOwner other = {"store-b", "v", "slide rule"};
  EXPECT_TRUE(spool->Claim(other).ok()) << "an empty one is anyone's";
  EXPECT_EQ(spool->owner(), other);
}

TEST_F(SpoolTest, SetAsideWhatAnotherKindOfDeviceComputed) {
  Leave({{1, "report"}});
  const std::string before = Bytes();
  const auto spool = Open();
  ASSERT_TRUE(spool->Claim({"store-a", "w", "slide rule"}).ok());
  EXPECT_THAT(spool->recovered(), IsEmpty());
  EXPECT_EQ(*ReadFile(folder_ + "/other-device"), before);
  EXPECT_EQ(spool->live_bytes(), 0);
}

TEST_F(SpoolTest, IsFullAtItsBound) {
  const auto spool = Open(/*most_bytes=*/1000);
  ASSERT_TRUE(spool->Claim(kOwner).ok());
  int64_t sequence = 0;
  while (!spool->full()) {
    ASSERT_TRUE(spool->Append(++sequence, std::string(68, 'r')).ok());  // 100 with its fields
  }
  EXPECT_EQ(sequence, 10);
  spool->Acknowledge(4);
  EXPECT_FALSE(spool->full());
}

TEST_F(SpoolTest, DoesNotGrowOverWhatIsAcknowledged) {
  constexpr int64_t kHeld = 100;
  const std::string report(1000, 'r');
  const auto spool = Open();
  ASSERT_TRUE(spool->Claim(kOwner).ok());
  for (int64_t sequence = 1; sequence <= 10'000; ++sequence) {
    ASSERT_TRUE(spool->Append(sequence, report).ok());
    spool->Acknowledge(sequence - kHeld);
  }
  EXPECT_LT(std::filesystem::file_size(folder_ + "/reports"), 3 << 20);
  EXPECT_GT(spool->live_bytes(), kHeld * 1000);
}

TEST_F(SpoolTest, WhatWasCompactedIsRead) {
  {
    const auto spool = Open();
    ASSERT_TRUE(spool->Claim(kOwner).ok());
    ASSERT_TRUE(spool->Append(1, "kept").ok());
    for (int64_t sequence = 2; sequence < 3000; ++sequence) {
      ASSERT_TRUE(spool->Append(sequence, std::string(1000, 'r')).ok());
      spool->Acknowledge(sequence);
    }
    ASSERT_TRUE(spool->Append(3000, "the last").ok());
  }
  EXPECT_THAT(Open()->recovered(), ElementsAre(Pair(1, "kept"), Pair(3000, "the last")));
}

TEST_F(SpoolTest, StrayFilesOfKilledProcessesAreRemoved) {
  Leave({});
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/reports.tmp.123", "half").ok());
  Open();
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/reports.tmp.123"));
}

}  // namespace
}  // namespace bitquake
