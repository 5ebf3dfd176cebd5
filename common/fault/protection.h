// How a memory protects the words that it stores: `protection:` of a fault model. What is drawn in
// the words, and in what the scheme stores beside them, becomes what the network reads
// (protection_schemes.h).
#pragma once

#include <string>

namespace bitquake {

struct Protection {
  enum class Scheme {
    kNone,
    // Of each 64-bit memory word (memory_words.h) 8 check bits: one flip of the 72 is corrected,
    // two are detected; three and more do what the code's syndromes say (secded.h).
    kSecded,
    // Of each stored word one bit: an odd number of flips among both is detected, and the word
    // becomes 0; an even number is not.
    kParity,
    // Of each stored word, the top `copied_bits` are stored three times, and the majority is read.
    kTmr,
    // A stored word whose value is outside of golden's values of its tensor becomes one inside;
    // NaN becomes 0. The bounds are safe.
    kClamp,
  };
  Scheme scheme = Scheme::kNone;
  // kSecded, kParity: check bits flip at the bit-error rate, too.
  bool check_bits_exposed = true;
  // kSecded: a memory word with a detected error that cannot be corrected becomes 0, or stays as it
  // is.
  enum class Uncorrectable { kZero, kKeep };
  Uncorrectable uncorrectable = Uncorrectable::kZero;
  int copied_bits = 0;  // kTmr
  // kClamp: what a value outside becomes: the nearest inside that its word can hold, or 0.
  enum class Outside { kClamp, kZero };
  Outside outside = Outside::kClamp;

  // "secded", as in the campaign file; empty of kNone.
  std::string Name() const;
  // The name, and what is not as by default: "secded uncorrectable=keep".
  std::string Label() const;
  // Whether something that the scheme stores is drawn apart, at the bit-error rate.
  bool DrawsRedundancy() const {
    return scheme == Scheme::kTmr ||
           ((scheme == Scheme::kSecded || scheme == Scheme::kParity) && check_bits_exposed);
  }
};

}  // namespace bitquake
