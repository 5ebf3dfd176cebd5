#include "common/base/json_nesting.h"

#include <gtest/gtest.h>

#include <string>

namespace bitquake {
namespace {

TEST(JsonNesting, CountsListsAndObjects) {
  EXPECT_EQ(JsonNesting(""), 0);
  EXPECT_EQ(JsonNesting("1"), 0);
  EXPECT_EQ(JsonNesting("[]"), 1);
  EXPECT_EQ(JsonNesting("[[1], {}]"), 2);
  EXPECT_EQ(JsonNesting(R"({"a": [{"b": 1}], "c": {}})"), 3);
  EXPECT_EQ(JsonNesting("[],[],[[]]"), 2);
  EXPECT_EQ(JsonNesting(std::string(1'000'000, '[')), 1'000'000);
}

TEST(JsonNesting, LeavesTextAlone) {
  EXPECT_EQ(JsonNesting(R"("[[[")"), 0);
  EXPECT_EQ(JsonNesting(R"(["[\"[", "]"])"), 1);
  EXPECT_EQ(JsonNesting(R"(["\\", ["]"]])"), 2);
  EXPECT_EQ(JsonNesting(R"({"[{": "}]\\\"["})"), 1);
}

}  // namespace
}  // namespace bitquake
