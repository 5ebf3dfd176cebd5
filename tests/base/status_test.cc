#include "common/base/status.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "common/base/status_macros.h"

namespace bitquake {
namespace {

absl::StatusOr<int> Half(int n) {
  if (n % 2 != 0) {
    return absl::InvalidArgumentError("odd");
  }
  return n / 2;
}

absl::StatusOr<int> Quarter(int n) {
  ASSIGN_OR_RETURN(const int half, Half(n));
  ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

absl::Status CheckQuarter(int n, bool* reached_end) {
  RETURN_IF_ERROR(Quarter(n).status());
  *reached_end = true;
  return absl::OkStatus();
}

TEST(StatusMacros, ReturnTheFirstErrorOnly) {
  EXPECT_EQ(*Quarter(12), 3);
  EXPECT_EQ(Quarter(6).status(), absl::InvalidArgumentError("odd"));
  bool reached_end = false;
  EXPECT_FALSE(CheckQuarter(6, &reached_end).ok());
  EXPECT_FALSE(reached_end);
  EXPECT_TRUE(CheckQuarter(8, &reached_end).ok());
  EXPECT_TRUE(reached_end);
}

TEST(Status, AnnotationSaysWhereAndKeepsTheCode) {
  EXPECT_EQ(Annotate(absl::NotFoundError("no such model"), "vit"),
            absl::NotFoundError("vit: no such model"));
  EXPECT_TRUE(Annotate(absl::OkStatus(), "vit").ok());
}

TEST(Status, ErrnoBecomesACode) {
  errno = ENOENT;
  EXPECT_EQ(ErrnoStatus("f").code(), absl::StatusCode::kNotFound);
  errno = EACCES;
  EXPECT_EQ(ErrnoStatus("f").code(), absl::StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace bitquake
