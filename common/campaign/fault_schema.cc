#include "common/campaign/fault_schema.h"

#include <utility>

#include "common/campaign/fault_csv.h"
#include "common/campaign/protection_schema.h"
#include "common/campaign/shared_types.h"

namespace bitquake {
namespace {

constexpr uint64_t kMaxCount = 1'000'000'000;
constexpr uint64_t kMaxBurstLength = 32;
constexpr size_t kMaxPathCharacters = 1024;
constexpr size_t kMaxFaultModels = 64;

Field KindField(std::vector<std::string> kinds, std::string doc) {
  return {"kind", {EnumType{"a fault model", std::move(kinds)}}, std::move(doc), /*required=*/true};
}

// What every kind of faults takes.
void AddProtection(MapType* fields) {
  fields->fields.push_back(
      {"protection", ProtectionType(),
       "How the memory protects what it stores; short: secded, parity or clamp. None if missing."});
  fields->fields.push_back(
      {"protect", ProtectType(),
       "Bits that never flip: targets, by the names that granularities give them (`bitquake "
       "inspect` prints them). The others flip as they would without."});
}

std::optional<Complaint> CheckSampling(const Json& fault) {
  if (fault.contains("count") && fault.contains("sampling")) {
    return Complaint{"sampling", "does not apply with 'count', which says how many bits are drawn"};
  }
  return std::nullopt;
}

// {kind: bit_flip, sampling: exact, bits: [7]}, {kind: bit_flip, count: 3}
FieldType BitFaultType() {
  Field sampling = {"sampling",
                    {EnumType{"a way of sampling", {"bernoulli", "exact"}}},
                    "bernoulli: each bit is faulty independently, with probability BER. exact: "
                    "round(BER x bits) distinct bits of the target. Not with `count`.",
                    /*required=*/false,
                    "bernoulli"};
  sampling.default_for = [](const Json& fault) {
    return fault.contains("count") ? Json() : Json("bernoulli");
  };
  MapType fields;
  fields.fields = {
      KindField({"bit_flip", "stuck_at_0", "stuck_at_1"},
                "bit_flip: a faulty bit is inverted. stuck_at_0, stuck_at_1: it reads 0, or 1; "
                "nothing changes where it did already."),
      {"count",
       {IntegerType{1, kMaxCount}},
       "Draws this many distinct bits of each target. Then there is no `ber`."},
      std::move(sampling),
      {"bits", PositionsType(),
       "Only these bit positions of a word can be faulty, 0 is the least significant. All if "
       "missing."}};
  AddProtection(&fields);
  return {std::move(fields), "", CheckSampling};
}

FieldType BurstLengthType() { return {IntegerType{2, kMaxBurstLength}}; }

FieldType BurstType() {
  MapType fields;
  fields.fields = {KindField({"burst"},
                             "Each event, drawn by BER, inverts neighbouring bits of one "
                             "word, from the drawn one upwards, cut at the word's end."),
                   {"length", BurstLengthType(), "Bits that an event inverts.", true}};
  AddProtection(&fields);
  return {std::move(fields)};
}

FieldType ShortBurstType() {
  MapType fields;
  fields.fields = {
      {"burst", BurstLengthType(), "Short for {kind: burst, length: ...}.", /*required=*/true}};
  return {std::move(fields)};
}

FieldType WordType() {
  MapType fields;
  fields.fields = {KindField(
      {"word"}, "Each word is replaced by random bits, independently with probability BER.")};
  AddProtection(&fields);
  return {std::move(fields)};
}

FieldType FileType() { return PlainTextType("a file's name", kMaxPathCharacters); }

FieldType FaultCsvType() {
  const auto right = [](absl::string_view) { return ""; };  // CheckFaultCsv says more
  const auto check = [](const Json& text) -> std::optional<Complaint> {
    const auto list = ParseFaultCsv(text.get<std::string>());
    return list.ok() ? std::nullopt
                     : std::optional<Complaint>({"", std::string(list.status().message())});
  };
  return {TextType{"CSV of faults", kMaxFaultCsvBytes, right, FaultCsvPattern()}, "", check};
}

std::optional<Complaint> CheckListSource(const Json& fault) {
  if (fault.contains("file") == fault.contains("faults")) {
    return Complaint{"", "needs 'file' or 'faults'; give one of them"};
  }
  return std::nullopt;
}

FieldType ListedType() {
  MapType fields;
  fields.fields = {
      KindField({"list"},
                "The listed bits are inverted, in every trial: one trial says it all. Then "
                "there is no `ber`."),
      {"file", FileType(),
       "CSV file of faulty bits, relative to the campaign file, with the header tensor,index,bit: "
       "a "
       "tensor's name, a word's index in it (from 0, row-major), a bit position (0 is the least "
       "significant). The client reads it and hands on its text as `faults`."},
      {"faults", FaultCsvType(), "The text of such a file."}};
  AddProtection(&fields);
  return {std::move(fields), "", CheckListSource};
}

FieldType ShortListType() {
  MapType fields;
  fields.fields = {{"list", FileType(), "Short for {kind: list, file: ...}.", /*required=*/true}};
  return {std::move(fields)};
}

std::vector<FieldType> FaultAlternatives() {
  return {{EnumType{"a fault model", {"bit_flip", "stuck_at_0", "stuck_at_1", "word"}}},
          BitFaultType(),
          BurstType(),
          WordType(),
          ListedType(),
          ShortBurstType(),
          ShortListType()};
}

}  // namespace

FieldType FaultsType() {
  OneOfType choice{FaultAlternatives()};
  choice.alternatives.push_back({ListType{
      "a list of fault models", {{OneOfType{FaultAlternatives()}}}, kMaxFaultModels, true}});
  return {std::move(choice)};
}

}  // namespace bitquake
