#include "common/model/safetensors.h"

#include <gmock/gmock.h>

#include <cmath>
#include <fstream>

#include "tests/model/test_snapshot.h"

namespace bitquake {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ErrorOf(const std::string& bytes) {
  const auto tensors = ParseSafetensors(bytes);
  EXPECT_EQ(tensors.status().code(), absl::StatusCode::kInvalidArgument) << tensors.status();
  return std::string(tensors.status().message());
}

std::string Entry(const std::string& name, const std::string& shape, int begin, int end,
                  const std::string& dtype = "F32") {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape +
         R"(,"data_offsets":[)" + std::to_string(begin) + "," + std::to_string(end) + "]}";
}

std::string File(const std::string& entries, int data_bytes) {
  return SafetensorsBytes("{" + entries + "}", std::string(data_bytes, '\0'));
}

TEST(Safetensors, ReadsTensorsInTheOrderOfTheirOffsets) {
  const std::string bytes =
      File(Entry("a", "[2,3]", 8, 32) + R"(,"__metadata__":{"format":"pt"},)" +
               Entry("b", "[]", 0, 4) + "," + Entry("c", "[0,7]", 32, 32),
           32);
  const auto tensors = ParseSafetensors(bytes);
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 3u);
  EXPECT_EQ((*tensors)[0].name, "b");
  EXPECT_EQ((*tensors)[0].elements(), 1);
  EXPECT_EQ((*tensors)[1].name, "a");
  EXPECT_THAT((*tensors)[1].shape, ElementsAre(2, 3));
  EXPECT_EQ((*tensors)[1].bytes.data(), bytes.data() + bytes.size() - 24);
  EXPECT_EQ((*tensors)[2].elements(), 0);
}

TEST(Safetensors, RefusesDamagedHeaders) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("only 0 bytes"));
  EXPECT_THAT(ErrorOf("1234567"), HasSubstr("only 7 bytes"));
  EXPECT_THAT(ErrorOf(std::string(8, '\xff')), HasSubstr("the limit is 100000000"));
  EXPECT_THAT(ErrorOf(std::string("\x10\0\0\0\0\0\0\0{}", 10)), HasSubstr("truncated"));
  EXPECT_THAT(ErrorOf(SafetensorsBytes("{", "")), HasSubstr("not a JSON object"));
  EXPECT_THAT(ErrorOf(SafetensorsBytes("[]", "")), HasSubstr("not a JSON object"));
  EXPECT_THAT(ErrorOf(SafetensorsBytes("{} x", "")), HasSubstr("not a JSON object"));
  EXPECT_THAT(ErrorOf(SafetensorsBytes("{\"\xff\":1}", "")), HasSubstr("not a JSON object"));
  EXPECT_THAT(ErrorOf(SafetensorsBytes(R"({"a":{"shape":[[[1]]]}})", "")), HasSubstr("nested"));
  EXPECT_THAT(ErrorOf(SafetensorsBytes(std::string(1'000'000, '['), "")), HasSubstr("nested"));
}

TEST(Safetensors, RefusesNamesThatStandTwice) {
  EXPECT_THAT(ErrorOf(File(Entry("a", "[1]", 0, 4) + "," + Entry("a", "[1]", 4, 8), 8)),
              HasSubstr("'a' twice"));
  EXPECT_THAT(
      ErrorOf(File(R"("a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]})", 4)),
      HasSubstr("'shape' twice"));
}

TEST(Safetensors, RefusesTensorsThatDoNotFitTheFile) {
  EXPECT_THAT(ErrorOf(File(Entry("a", "[2]", 0, 8), 7)), HasSubstr("outside of the 7 bytes"));
  EXPECT_THAT(ErrorOf(File(Entry("a", "[2]", 8, 0), 8)), HasSubstr("outside"));
  EXPECT_THAT(ErrorOf(File(Entry("a", "[3]", 0, 8), 8)), HasSubstr("shape and dtype need 12"));
  EXPECT_THAT(ErrorOf(File(Entry("a", "[4294967296,4294967296]", 0, 0), 0)),
              HasSubstr("overflows"));
  EXPECT_THAT(ErrorOf(File(Entry("a", "[9223372036854775807]", 0, 0), 0)), HasSubstr("overflows"));
  EXPECT_THAT(ErrorOf(File(Entry("a", "[18446744073709551615]", 0, 0), 0)), HasSubstr("'shape'"));
  EXPECT_THAT(ErrorOf(File(Entry("a", "[-1]", 0, 0), 0)), HasSubstr("'shape'"));
  EXPECT_THAT(ErrorOf(File(Entry("a", "[1.0]", 0, 4), 4)), HasSubstr("'shape'"));
  EXPECT_THAT(ErrorOf(File(Entry("a", "3", 0, 4), 4)), HasSubstr("'shape' is no list"));
  EXPECT_THAT(ErrorOf(File(Entry("a", "[1]", 0, 4) + "," + Entry("b", "[1]", 3, 7), 8)),
              HasSubstr("'a' and 'b' overlap"));
}

TEST(Safetensors, RefusesEntriesThatAreNone) {
  EXPECT_THAT(ErrorOf(File(R"("a":3)", 0)), HasSubstr("tensor 'a'"));
  EXPECT_THAT(ErrorOf(File(R"("a":{"shape":[],"data_offsets":[0,0]})", 0)), HasSubstr("'dtype'"));
  EXPECT_THAT(ErrorOf(File(Entry("a", "[4]", 0, 4, "F8_E4M3"), 4)), HasSubstr("'F8_E4M3'"));
  EXPECT_THAT(ErrorOf(File(R"("a":{"dtype":"F32","shape":[]})", 4)), HasSubstr("'data_offsets'"));
}

TEST(Safetensors, NoPrefixOfAFileIsAFile) {
  const std::string bytes = File(Entry("a", "[2]", 0, 8) + "," + Entry("b", "[2]", 8, 16), 16);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(ParseSafetensors(bytes.substr(0, size)).ok()) << size;
  }
  EXPECT_TRUE(ParseSafetensors(bytes).ok());
}

TEST(Safetensors, OpenNamesTheFile) {
  const std::string path = NewFolder() + "/model.safetensors";
  EXPECT_EQ(SafetensorsFile::Open(path).status().code(), absl::StatusCode::kNotFound);
  std::ofstream(path) << "not one";
  EXPECT_THAT(SafetensorsFile::Open(path).status().message(), HasSubstr(path));
}

TEST(Safetensors, ConvertsHalvesExactly) {
  const auto half = [](uint16_t bits) {
    const std::string bytes(reinterpret_cast<const char*>(&bits), 2);
    return ToFloat({"h", DType::kF16, {1}, bytes}).value()[0];
  };
  // Every finite half against its definition.
  for (int bits = 0; bits < 0x8000; ++bits) {
    const int exponent = bits >> 10;
    const int mantissa = bits & 0x3ff;
    if (exponent == 31) {
      continue;
    }
    const double value =
        exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    EXPECT_EQ(half(static_cast<uint16_t>(bits)), value) << bits;
    EXPECT_EQ(half(static_cast<uint16_t>(bits | 0x8000)), -value) << bits;
  }
  EXPECT_TRUE(std::signbit(half(0x8000)));
  EXPECT_EQ(half(0x7c00), INFINITY);
  EXPECT_EQ(half(0xfc00), -INFINITY);
  EXPECT_TRUE(std::isnan(half(0x7e01)));
}

TEST(Safetensors, ConvertsBrainFloatsAndFloatsAndNothingElse) {
  EXPECT_THAT(ToFloat({"b", DType::kBF16, {2}, absl::string_view("\x80\x3f\x40\xc0", 4)}).value(),
              ElementsAre(1.0f, -3.0f));
  EXPECT_THAT(ToFloat({"f", DType::kF32, {1}, absl::string_view("\0\0\x20\x41", 4)}).value(),
              ElementsAre(10.0f));
  EXPECT_THAT(
      ToFloat({"i", DType::kI64, {1}, absl::string_view("\0\0\0\0\0\0\0\0", 8)}).status().message(),
      HasSubstr("dtype I64"));
}

}  // namespace
}  // namespace bitquake
