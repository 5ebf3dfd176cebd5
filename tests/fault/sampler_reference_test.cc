// Pins the sampler: its faults must stay what reference_sampler.py, written apart from it, computed
// once.
#include <map>

#include "common/base/file.h"
#include "common/fault/sampler.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace bitquake {
namespace {

TEST(SamplerReference, FaultsAreThoseOfTheIndependentReference) {
  absl::StatusOr<std::string> text =
      ReadFile(BITQUAKE_SOURCE_DIR "/tests/data/fault/sampler_reference.json");
  ASSERT_TRUE(text.ok()) << text.status();
  const nlohmann::json cases = nlohmann::json::parse(*text);
  ASSERT_GE(cases.size(), 24u);
  for (const nlohmann::json& a_case : cases) {
    std::vector<WordFault> expected;
    for (const nlohmann::json& fault : a_case["faults"]) {
      expected.push_back({fault[0].get<int64_t>(), fault[1].get<uint32_t>()});
    }
    const std::string name = a_case["tensor"];
    const std::map<int, MemoryPart> parts = {{0, MemoryPart::kWords},
                                             {6, MemoryPart::kCheckBits},
                                             {8, MemoryPart::kSecondCopy},
                                             {10, MemoryPart::kThirdCopy}};
    const WordArray words = {name, a_case["words"].get<int64_t>(),
                             a_case["bits_per_word"].get<int>(), parts.at(a_case["purpose"])};
    const FaultSampler sampler(a_case["seed"].get<uint64_t>());
    EXPECT_EQ(sampler.Sample(words, a_case["trial"].get<uint32_t>(), a_case["rate"].get<double>()),
              expected)
        << "tensor " << name << ", rate " << a_case["rate"];
  }
}

}  // namespace
}  // namespace bitquake
