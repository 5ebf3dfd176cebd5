// The ladder, for whoever writes it again (fault_stream.h and neg_log1m.h say the rest). Bit i of a
// tensor is bit i % bits_per_word of word i / bits_per_word; N is the number of bits.
//
// S_k is the set of bits with u < 2^-k. S_K is empty for K = 64 + ceil(log2 N): a perfect source
// would put a bit there with probability at most 2^-64. For k = K, K - 1, ..., 1 rung k makes
// S_(k-1) of S_k and the rung's candidates: each bit is one with probability 1 / (2^k - 1),
// independently, so that a bit outside of S_k enters with the probability that u < 2^-(k-1) has
// given u >= 2^-k; bits in S_k are in already. Candidate n = 0, 1, ... of rung k is bit
//   (candidate n-1, or -1 for n = 0) + 1 + floor(E / L),
//   E = NegLog1m(Skip(k, n)), L = NegLog1m(1 / (2^k - 1)), infinite for k = 1,
// in doubles, each operation rounded; the rung ends where that is N or more.
//
// The faults at rate p, 2^-k <= p < 2^-(k-1), are S_k and those candidates n of rung k with
// Depth(k, n) < 2^64 (p 2^k - 1), compared exactly. p < 2^-K: none. p = 1: all bits. That is u < p
// for u = 2^-k (1 + Depth / 2^64), with k the deepest rung that has the bit as a candidate.
//
// Words that are replaced come from a ladder of their own, whose N is the number of words.
#include "common/fault/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "common/fault/fault_stream.h"
#include "common/fault/neg_log1m.h"

namespace bitquake {
namespace {

// Walks the candidates of one rung, ascending. They are drawn in batches, which compilers turn into
// vector code.
class Rung {
 public:
  // Keeps the candidates whose depth is below `threshold`; kWhole keeps all.
  static constexpr uint64_t kWhole = 0;

  Rung(const FaultStream* stream, int k, int64_t size, uint64_t threshold)
      : stream_(stream),
        k_(k),
        size_(size),
        threshold_(threshold),
        log_miss_(k == 1 ? std::numeric_limits<double>::infinity()
                         : NegLog1m(1 / (std::ldexp(1.0, k) - 1))) {
    DrawBatch();
  }

  int64_t bit() const { return batch_[next_]; }  // `size` at the end
  int k() const { return k_; }
  uint64_t depth() const { return stream_->Depth(k_, batch_begin_ + places_[next_]); }
  bool done() const { return bit() == size_; }
  void Next() {
    if (++next_ == count_) {
      DrawBatch();
    }
  }

 private:
  static constexpr int kLargestBatch = 128;

  void DrawBatch() {
    // Deep skips exceed any integer; this far, they are past the end of any tensor.
    constexpr double kFar = int64_t{1} << 62;
    next_ = 0;
    count_ = 0;
    while (count_ == 0) {
      batch_begin_ = drawn_;
      std::array<double, kLargestBatch> skips;
      for (int i = 0; i < batch_size_; ++i) {
        skips[i] = stream_->Skip(k_, drawn_ + i);
      }
      for (int i = 0; i < batch_size_; ++i) {
        skips[i] = std::min(NegLog1m(skips[i]) / log_miss_, kFar);
      }
      for (int i = 0; i < batch_size_; ++i) {
        last_ += 1 + static_cast<int64_t>(skips[i]);
        if (last_ >= size_) {
          batch_[count_++] = size_;
          return;
        }
        batch_[count_] = last_;
        places_[count_] = static_cast<uint8_t>(i);
        count_ += threshold_ == kWhole || stream_->Depth(k_, drawn_ + i) < threshold_ ? 1 : 0;
      }
      drawn_ += batch_size_;
      batch_size_ = std::min(2 * batch_size_, kLargestBatch);
    }
  }

  const FaultStream* stream_;
  int k_;
  int64_t size_;
  uint64_t threshold_;
  double log_miss_;

  uint64_t drawn_ = 0;        // candidates before the next batch
  int64_t last_ = -1;         // the last of them
  uint64_t batch_begin_ = 0;  // candidates before this batch
  int batch_size_ = 1;
  int next_ = 0;
  int count_ = 0;
  std::array<int64_t, kLargestBatch> batch_;
  std::array<uint8_t, kLargestBatch> places_;  // among all candidates of the batch
};

int CeilLog2(int64_t n) {
  int log = 0;
  while (log < 62 && int64_t{1} << log < n) {
    ++log;
  }
  return log;
}

// A rate in (0, 1] as 2^-rung (1 + depth / 2^64), exactly.
struct Edge {
  explicit Edge(double rate) {
    int exponent;
    const double mantissa = 2 * std::frexp(rate, &exponent);  // in [1, 2)
    rung = 1 - exponent;
    depth = static_cast<uint64_t>(std::ldexp(mantissa - 1, 64));
  }

  int rung;
  uint64_t depth;
};

// The rungs that have a candidate, down to the one in which `ber` lies.
std::vector<Rung> RungsOf(const FaultStream& stream, int64_t size, double ber) {
  const Edge edge(ber);
  const int first = 64 + CeilLog2(size);
  std::vector<Rung> rungs;
  const auto add = [&](int k, uint64_t threshold) {
    const Rung rung(&stream, k, size, threshold);
    if (!rung.done()) {
      rungs.push_back(rung);
    }
  };
  for (int k = first; k > edge.rung; --k) {
    add(k, Rung::kWhole);
  }
  if (edge.depth > 0 && edge.rung <= first) {
    add(edge.rung, edge.depth);
  }
  return rungs;
}

// Merges faults that fall among some consecutive words, in any order.
class Window {
 public:
  static constexpr int kWords = 4096;

  // Whether the bit is new.
  bool Mark(uint32_t word, uint32_t bit) {
    const uint32_t before = masks_[word];
    masks_[word] |= uint32_t{1} << bit;
    touched_[word / 64] |= uint64_t{1} << (word % 64);
    return masks_[word] != before;
  }

  // Calls `visit`(word, mask) for each faulty word, ascending, and clears the window.
  template <typename Visit>
  void Clear(const Visit& visit) {
    for (int group = 0; group < kWords / 64; ++group) {
      for (uint64_t left = touched_[group]; left != 0; left &= left - 1) {
        const int word = group * 64 + __builtin_ctzll(left);
        visit(word, masks_[word]);
        masks_[word] = 0;
      }
      touched_[group] = 0;
    }
  }

 private:
  std::array<uint32_t, kWords> masks_ = {};
  std::array<uint64_t, kWords / 64> touched_ = {};
};

// Walks all candidates below `rate` window by window: `mark`(rung, word of the window, bit of the
// word) for each, of deeper rungs first; then `end`(first word of the window).
template <typename Mark, typename End>
void Walk(const FaultStream& stream, int64_t words, uint32_t bits, double rate, const Mark& mark,
          const End& end_window) {
  const int64_t size = words * bits;
  std::vector<Rung> rungs = RungsOf(stream, size, rate);
  const int64_t window_bits = int64_t{Window::kWords} * bits;
  while (!rungs.empty()) {
    int64_t begin = size;  // of the next window that holds a candidate
    for (const Rung& rung : rungs) {
      begin = std::min(begin, rung.bit());
    }
    begin -= begin % window_bits;
    const int64_t end = std::min(begin + window_bits, size);
    for (Rung& rung : rungs) {
      for (; rung.bit() < end; rung.Next()) {
        const uint32_t bit = static_cast<uint32_t>(rung.bit() - begin);
        mark(rung, bit / bits, bit % bits);
      }
    }
    end_window(begin / bits);
    rungs.erase(std::remove_if(rungs.begin(), rungs.end(), [](const Rung& r) { return r.done(); }),
                rungs.end());
  }
}

// The faults at `rate` of `words` words, each of `bits` bits that the stream draws.
std::vector<WordFault> Draw(const FaultStream& stream, int64_t words, uint32_t bits, double rate) {
  std::vector<WordFault> out;
  if (!(rate > 0) || words <= 0) {
    return out;
  }
  if (rate >= 1) {
    out.reserve(words);
    for (int64_t i = 0; i < words; ++i) {
      out.push_back({i, ~uint32_t{0} >> (32 - bits)});
    }
    return out;
  }
  const double expected = static_cast<double>(words) * bits * rate;
  out.reserve(static_cast<size_t>(
      std::min(expected + 4 * std::sqrt(expected), static_cast<double>(words))));
  Window window;
  Walk(
      stream, words, bits, rate,
      [&](const Rung&, uint32_t word, uint32_t bit) { window.Mark(word, bit); },
      [&](int64_t first_word) {
        window.Clear([&](int word, uint32_t mask) { out.push_back({first_word + word, mask}); });
      });
  return out;
}

FaultStream::Unit UnitOf(MemoryPart part) {
  switch (part) {
    case MemoryPart::kWords:
      return FaultStream::Unit::kBit;
    case MemoryPart::kCheckBits:
      return FaultStream::Unit::kCheckBit;
    case MemoryPart::kSecondCopy:
      return FaultStream::Unit::kSecondCopyBit;
    case MemoryPart::kThirdCopy:
      return FaultStream::Unit::kThirdCopyBit;
  }
  return FaultStream::Unit::kBit;
}

}  // namespace

std::vector<WordFault> FaultSampler::Sample(WordArray words, uint32_t trial, double ber) const {
  const FaultStream stream(seed_, words.name, trial, UnitOf(words.part));
  return Draw(stream, words.count, static_cast<uint32_t>(words.bits_per_word), ber);
}

std::vector<RankedBit> FaultSampler::SampleBetween(WordArray words, uint32_t trial, double from,
                                                   double below) const {
  std::vector<RankedBit> out;
  if (!(below > 0) || words.count <= 0) {
    return out;
  }
  const FaultStream stream(seed_, words.name, trial, UnitOf(words.part));
  const auto bits = static_cast<uint32_t>(words.bits_per_word);
  const bool bounded = from > 0;
  const Edge edge(bounded ? from : 1);
  Window window;
  Walk(
      stream, words.count, bits, std::min(below, 1.0),
      [&](const Rung& rung, uint32_t word, uint32_t bit) {
        // A bit's first mark is its deepest rung.
        if (!window.Mark(word, bit) || (bounded && rung.k() > edge.rung)) {
          return;
        }
        const uint64_t depth = rung.depth();
        if (!bounded || rung.k() < edge.rung || depth >= edge.depth) {
          out.push_back({rung.bit(), rung.k(), depth});
        }
      },
      [&](int64_t) { window.Clear([](int, uint32_t) {}); });
  return out;
}

std::vector<WordFault> FaultSampler::SampleWords(WordArray words, uint32_t trial,
                                                 double rate) const {
  const FaultStream stream(seed_, words.name, trial, FaultStream::Unit::kWord);
  std::vector<WordFault> out = Draw(stream, words.count, /*bits=*/1, rate);
  for (WordFault& fault : out) {
    fault.mask = ~uint32_t{0} >> (32 - words.bits_per_word);
    fault.value = stream.Replacement(fault.index) & fault.mask;
  }
  return out;
}

}  // namespace bitquake
