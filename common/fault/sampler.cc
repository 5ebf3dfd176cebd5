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

  uint64_t drawn_ = 0;  // candidates before the next batch
  int64_t last_ = -1;   // the last of them
  int batch_size_ = 1;
  int next_ = 0;
  int count_ = 0;
  std::array<int64_t, kLargestBatch> batch_;
};

int CeilLog2(int64_t n) {
  int log = 0;
  while (log < 62 && int64_t{1} << log < n) {
    ++log;
  }
  return log;
}

// The rungs that have a candidate, down to the one in which `ber` lies.
std::vector<Rung> RungsOf(const FaultStream& stream, int64_t size, double ber) {
  int exponent;
  const double mantissa = 2 * std::frexp(ber, &exponent);  // ber = mantissa * 2^-last, in [1, 2)
  const int last = 1 - exponent;
  const int first = 64 + CeilLog2(size);
  std::vector<Rung> rungs;
  const auto add = [&](int k, uint64_t threshold) {
    const Rung rung(&stream, k, size, threshold);
    if (!rung.done()) {
      rungs.push_back(rung);
    }
  };
  for (int k = first; k > last; --k) {
    add(k, Rung::kWhole);
  }
  const uint64_t threshold = static_cast<uint64_t>(std::ldexp(mantissa - 1, 64));  // exact
  if (threshold > 0 && last <= first) {
    add(last, threshold);
  }
  return rungs;
}

// Merges faults that fall among some consecutive words, in any order.
class Window {
 public:
  static constexpr int kWords = 4096;

  void Mark(uint32_t word, uint32_t bit) {
    masks_[word] |= uint32_t{1} << bit;
    touched_[word / 64] |= uint64_t{1} << (word % 64);
  }

  // Appends the faults, ordered, and clears the window.
  void MoveTo(int64_t first_word, std::vector<WordFault>* out) {
    for (int group = 0; group < kWords / 64; ++group) {
      for (uint64_t left = touched_[group]; left != 0; left &= left - 1) {
        const int word = group * 64 + __builtin_ctzll(left);
        out->push_back({first_word + word, masks_[word]});
        masks_[word] = 0;
      }
      touched_[group] = 0;
    }
  }

 private:
  std::array<uint32_t, kWords> masks_ = {};
  std::array<uint64_t, kWords / 64> touched_ = {};
};

}  // namespace

std::vector<WordFault> FaultSampler::Sample(WordArray words, uint32_t trial, double ber) const {
  std::vector<WordFault> out;
  if (!(ber > 0) || words.count <= 0) {
    return out;
  }
  const uint32_t bits = static_cast<uint32_t>(words.bits_per_word);
  if (ber >= 1) {
    out.reserve(words.count);
    for (int64_t i = 0; i < words.count; ++i) {
      out.push_back({i, ~uint32_t{0} >> (32 - bits)});
    }
    return out;
  }
  const int64_t size = words.count * bits;
  const double expected = static_cast<double>(size) * ber;
  out.reserve(static_cast<size_t>(
      std::min(expected + 4 * std::sqrt(expected), static_cast<double>(words.count))));

  const FaultStream stream(seed_, words.name, trial);
  std::vector<Rung> rungs = RungsOf(stream, size, ber);
  const int64_t window_bits = int64_t{Window::kWords} * bits;
  Window window;
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
        window.Mark(bit / bits, bit % bits);
      }
    }
    window.MoveTo(begin / bits, &out);
    rungs.erase(std::remove_if(rungs.begin(), rungs.end(), [](const Rung& r) { return r.done(); }),
                rungs.end());
  }
  return out;
}

}  // namespace bitquake
