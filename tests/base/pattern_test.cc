#include "common/base/pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bitquake {
namespace {

using testing::HasSubstr;

TEST(Pattern, MatchesAPartOfTheName) {
  const Pattern pattern = *Pattern::Compile("^blocks\\.1\\.|norm$");
  EXPECT_TRUE(pattern.Matches("blocks.1.attn.qkv.weight"));
  EXPECT_FALSE(pattern.Matches("blocks.10.attn.qkv.weight"));
  EXPECT_FALSE(pattern.Matches("x.blocks.1.attn"));
  EXPECT_TRUE(pattern.Matches("fc_norm"));
  EXPECT_FALSE(pattern.Matches(""));
}

TEST(Pattern, CanBeMoved) {
  Pattern pattern = *Pattern::Compile("a");
  Pattern moved = std::move(pattern);
  EXPECT_TRUE(moved.Matches("cat"));
}

TEST(Pattern, WhatIsNoneIsRefusedByName) {
  EXPECT_EQ(Pattern::Compile("a(").status().message(),
            "'a(' is not a regular expression (RE2): missing ): a(");
  EXPECT_THAT(Pattern::Compile("").status().message(), HasSubstr("of 0 bytes"));
  EXPECT_THAT(Pattern::Compile(std::string(4001, 'a')).status().message(), HasSubstr("4001 bytes"));
  EXPECT_THAT(Pattern::Compile("((a{100}){100}){100}").status().message(), HasSubstr("RE2"));
  EXPECT_EQ(Pattern::Compile("\xFF").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace bitquake
