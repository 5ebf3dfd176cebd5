#include "common/campaign/protection_schema.h"

#include <string>
#include <utility>
#include <vector>

#include "common/campaign/shared_types.h"

namespace bitquake {
namespace {

constexpr uint64_t kMaxWordBits = 32;
constexpr size_t kMaxProtected = 10'000;
constexpr size_t kMaxTargetCharacters = 256;

Field SchemeField(std::string scheme, std::string doc) {
  return {"scheme",
          {EnumType{"a protection scheme", {std::move(scheme)}}},
          std::move(doc),
          /*required=*/true};
}

Field CheckBitsField() {
  return {
      "check_bits",
      {EnumType{"a state of the check bits", {"exposed", "safe"}}},
      "exposed: check bits flip at the bit-error rate, as the stored bits do; for bit_flip with "
      "bernoulli sampling. safe: they never flip.",
      /*required=*/false,
      "exposed"};
}

FieldType SecdedType() {
  MapType fields;
  fields.fields = {
      SchemeField(
          "secded",
          "Hsiao's (72,64) code over 64-bit memory words, in which stored words lie in index "
          "order, as many as fit whole; bits left over are zero and never flip. One flip is "
          "corrected, two are detected, more do what their syndrome says."),
      {"uncorrectable",
       {EnumType{"a response", {"zero", "keep"}}},
       "What becomes of a memory word with a detected error that cannot be corrected: all of its "
       "stored words are zero, or it is kept as it is.",
       false,
       "zero"},
      CheckBitsField()};
  return {std::move(fields)};
}

FieldType ParityType() {
  MapType fields;
  fields.fields = {SchemeField("parity",
                               "A parity bit of each stored word: after an odd number of flips the "
                               "word reads zero, an even number is not noticed."),
                   CheckBitsField()};
  return {std::move(fields)};
}

FieldType TmrType() {
  MapType fields;
  fields.fields = {
      SchemeField("tmr",
                  "The top bits of each stored word are stored three times, each copy "
                  "exposed to the bit-error rate; the majority is read."),
      {"bits", {IntegerType{1, kMaxWordBits}}, "How many of the most significant bits.", true}};
  return {std::move(fields)};
}

FieldType ClampType() {
  MapType fields;
  fields.fields = {
      SchemeField(
          "clamp",
          "A faulty word whose value is outside of the smallest and largest value that its "
          "tensor has without faults is brought back; NaN becomes zero. The bounds are safe."),
      {"outside",
       {EnumType{"a response", {"clamp", "zero"}}},
       "clamp: to the nearest value inside that the word can hold. zero: to zero.",
       false,
       "clamp"}};
  return {std::move(fields)};
}

FieldType TargetNameType() { return PlainTextType("a target's name", kMaxTargetCharacters); }

Field TopField() {
  return {"top",
          {IntegerType{1, kMaxWordBits}},
          "Only so many of the most significant bits of each word. All if missing."};
}

FieldType SomeBitsOfTargetType() {
  MapType fields;
  fields.fields = {{"target", TargetNameType(), "A target's name.", /*required=*/true}, TopField()};
  return {std::move(fields)};
}

FieldType SomeBitsOfMatchesType() {
  MapType fields;
  fields.fields = {{"match", PatternType(), "RE2 pattern of tensors' names.", /*required=*/true},
                   TopField()};
  return {std::move(fields)};
}

}  // namespace

FieldType ProtectionType() {
  return {OneOfType{{{EnumType{"a protection scheme", {"secded", "parity", "clamp"}}},
                     SecdedType(),
                     ParityType(),
                     TmrType(),
                     ClampType()}}};
}

FieldType ProtectType() {
  return {
      ListType{"a list of targets",
               {{OneOfType{{TargetNameType(), SomeBitsOfTargetType(), SomeBitsOfMatchesType()}}}},
               kMaxProtected,
               true}};
}

}  // namespace bitquake
