// The files of tests/data/campaign: what is good parses and survives a round trip, what is bad is
// refused with the message that lies beside it, and together they reach every field of the schema.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/file.h"
#include "common/campaign/campaign.h"
#include "common/campaign/document.h"
#include "common/campaign/field_type.h"
#include "common/campaign/schema.h"

namespace bitquake {
namespace {

std::vector<std::filesystem::path> Corpus(const std::string& folder) {
  std::vector<std::filesystem::path> paths;
  const std::string root = absl::StrCat(BITQUAKE_SOURCE_DIR, "/tests/data/campaign/", folder);
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    if (entry.path().extension() == ".yaml") {
      paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string Text(const std::filesystem::path& path) {
  const absl::StatusOr<std::string> text = ReadFile(path.string());
  EXPECT_TRUE(text.ok()) << text.status();
  return text.ok() ? *text : "";
}

// As the client does: faults lie beside the campaign that names them.
absl::StatusOr<Campaign> Parse(const std::filesystem::path& path) {
  const auto read = [&](const std::string& name) -> absl::StatusOr<std::string> {
    const absl::StatusOr<std::string> faults = ReadFile((path.parent_path() / name).string());
    return faults.ok() ? faults : absl::NotFoundError(absl::StrCat(name, ": no such file"));
  };
  return ParseCampaign(Text(path), path.filename().string(), read);
}

// "granularities[].head.blocks" for every field that the schema knows.
void CollectFields(const FieldType& type, const std::string& path, std::set<std::string>* fields) {
  if (const auto* map = std::get_if<MapType>(&type.is)) {
    for (const Field& field : map->fields) {
      const std::string below = absl::StrCat(path, path.empty() ? "" : ".", field.name);
      fields->insert(below);
      CollectFields(field.type, below, fields);
    }
  } else if (const auto* list = std::get_if<ListType>(&type.is)) {
    CollectFields(list->item.front(), path + "[]", fields);
  } else if (const auto* choice = std::get_if<OneOfType>(&type.is)) {
    for (const FieldType& alternative : choice->alternatives) {
      CollectFields(alternative, path, fields);
    }
  }
}

void CollectUsed(const Json& value, const std::string& path, std::set<std::string>* used) {
  used->insert(path);
  if (value.is_object()) {
    for (const auto& [key, member] : value.items()) {
      CollectUsed(member, absl::StrCat(path, path.empty() ? "" : ".", key), used);
    }
  } else if (value.is_array()) {
    for (const Json& item : value) {
      CollectUsed(item, path + "[]", used);
    }
  }
}

template <typename T>
std::string Joined(const std::vector<T>& values) {
  return absl::StrCat("[", absl::StrJoin(values, " "), "]");
}

std::string Meaning(const Granularity& granularity) {
  std::string types;
  for (const QkvType type : granularity.types) {
    absl::StrAppend(&types, Name(type));
  }
  return absl::StrCat(granularity.Name(), Joined(granularity.blocks), types, granularity.per_block,
                      " '", granularity.pattern, "' '", granularity.name, "' ",
                      Joined(granularity.positions), granularity.each_position,
                      Joined(granularity.ber));
}

std::string Meaning(const FaultModel& fault) {
  std::string text =
      absl::StrCat(fault.Name(), " ", static_cast<int>(fault.sampling), " ", fault.count, " ",
                   fault.burst_length, " ", Joined(fault.positions));
  for (const FaultModel::ListedBit& listed : fault.list) {
    absl::StrAppend(&text, " ", listed.tensor, ":", listed.index, ":", listed.bit);
  }
  const Protection& protection = fault.protection;
  absl::StrAppend(&text, " ", protection.Name(), protection.check_bits_exposed,
                  static_cast<int>(protection.uncorrectable), protection.copied_bits,
                  static_cast<int>(protection.outside));
  for (const FaultModel::Protected& entry : fault.protect) {
    absl::StrAppend(&text, " ", entry.target, "|", entry.match, "|", entry.top);
  }
  return text;
}

// All that a campaign says, member by member; ToJson has no part in it.
std::string Meaning(const Campaign& campaign) {
  std::vector<std::string> lines = {
      campaign.name,
      absl::StrCat(campaign.seed),
      Joined(campaign.models),
      campaign.dataset,
      absl::StrCat(static_cast<int>(campaign.quantization.scale), " ",
                   campaign.quantization.percentile),
      Joined(campaign.surface.include),
      Joined(campaign.surface.exclude),
      Joined(campaign.ber),
      absl::StrCat(campaign.trials, " ", static_cast<int>(campaign.images.kind), " ",
                   campaign.images.count, " ", campaign.folds, " ", campaign.compute, " ",
                   campaign.keep_images, " ", static_cast<int>(campaign.attention_distance))};
  for (const FaultModel& fault : campaign.faults) {
    lines.push_back(Meaning(fault));
  }
  for (const NumberFormat& format : campaign.formats) {
    lines.push_back(format.Name());
  }
  for (const Granularity& granularity : campaign.granularities) {
    lines.push_back(Meaning(granularity));
  }
  return absl::StrJoin(lines, "\n");
}

std::set<std::string> SchemaFields() {
  std::set<std::string> fields;
  CollectFields(CampaignType(), "", &fields);
  return fields;
}

TEST(Corpus, GoodFilesSurviveARoundTrip) {
  ASSERT_GE(Corpus("good").size(), 8u);
  for (const auto& path : Corpus("good")) {
    const absl::StatusOr<Campaign> campaign = Parse(path);
    ASSERT_TRUE(campaign.ok()) << campaign.status();
    const std::string resolved = ToJson(*campaign);
    const absl::StatusOr<Campaign> again = ParseCampaign(resolved, "resolved.json");
    ASSERT_TRUE(again.ok()) << path << ": " << again.status();
    EXPECT_EQ(ToJson(*again), resolved) << path;
    EXPECT_EQ(Meaning(*again), Meaning(*campaign)) << path;
    EXPECT_EQ(again->ber, campaign->ber) << path;  // to the last digit
  }
}

TEST(Corpus, BadFilesAreRefusedWithTheMessageBesideThem) {
  ASSERT_GE(Corpus("bad").size(), 100u);
  for (std::filesystem::path path : Corpus("bad")) {
    const absl::Status status = Parse(path).status();
    ASSERT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << path;
    const std::vector<std::string> lines = absl::StrSplit(status.message(), '\n');
    EXPECT_EQ(lines.front() + "\n", Text(path.replace_extension(".error")));
  }
}

TEST(Corpus, EveryFieldHasAGoodCase) {
  std::set<std::string> used;
  for (const auto& path : Corpus("good")) {
    Problems problems;
    const std::optional<Node> document = ParseDocument(Text(path), &problems);
    ASSERT_TRUE(document.has_value()) << path;
    CollectUsed(ToPlainJson(*document), "", &used);
  }
  EXPECT_THAT(SchemaFields(), testing::Each(testing::ResultOf(
                                  [&used](const std::string& f) { return used.count(f); }, 1)));
}

TEST(Corpus, EveryFieldHasABadCase) {
  std::set<std::string> refused;
  for (std::filesystem::path path : Corpus("bad")) {
    // "file:line:column: field: message"
    const std::vector<std::string> parts =
        absl::StrSplit(Text(path.replace_extension(".error")), ": ");
    std::string field = parts.at(1);
    field.erase(std::remove_if(field.begin(), field.end(), absl::ascii_isdigit), field.end());
    refused.insert(std::string(absl::StripSuffix(field, "[]")));
    refused.insert(std::move(field));
  }
  EXPECT_THAT(SchemaFields(),
              testing::Each(testing::ResultOf(
                  [&refused](const std::string& f) { return refused.count(f); }, 1)));
}

}  // namespace
}  // namespace bitquake
