// The Swin transformer against its definition (Liu et al. 2021): windows and their shift are found
// token by token, from coordinates.
#include <gtest/gtest.h>

#include "tests/worker/engine/reference_network.h"

namespace bitquake {
namespace {

class ReferenceSwin : public ReferenceNetwork {
 public:
  ReferenceSwin(const TestSwin& swin, uint32_t seed)
      : ReferenceNetwork(RandomTensors(swin, seed), 1e-5), swin_(swin) {}

  Vector Logits(const std::vector<uint8_t>& pixels) override {
    Tokens x = EmbedPatches(pixels, swin_.image, swin_.patch);
    for (Vector& token : x) token = Norm("patch_embed.norm", token);
    int side = swin_.image / swin_.patch;
    for (size_t s = 0; s < swin_.widths.size(); ++s) {
      const std::string stage = "layers." + std::to_string(s) + ".";
      if (s > 0) {
        x = Merge(stage + "downsample.", x, side);
        side /= 2;
      }
      for (int b = 0; b < swin_.depths[s]; ++b) {
        const std::string block = stage + "blocks." + std::to_string(b) + ".";
        const int shift = b % 2 == 1 && swin_.window < side ? swin_.window / 2 : 0;
        Attend(block, swin_.heads[s], side, shift, x);
        AddMlp(block, x);
      }
    }
    Vector mean(swin_.widths.back());
    for (const Vector& token : x) Add(Norm("norm", token), mean);
    for (double& v : mean) v /= static_cast<double>(x.size());
    return Linear("head.fc", mean);
  }

 private:
  // Neighbours side by side: those of the left column first.
  Tokens Merge(const std::string& name, const Tokens& x, int side) const {
    Tokens merged;
    for (int row = 0; row < side; row += 2) {
      for (int column = 0; column < side; column += 2) {
        Vector four;
        for (const auto& [down, right] : {std::pair(0, 0), {1, 0}, {0, 1}, {1, 1}}) {
          const Vector& token = x[(row + down) * side + column + right];
          four.insert(four.end(), token.begin(), token.end());
        }
        merged.push_back(Linear(name + "reduction", Norm(name + "norm", four)));
      }
    }
    return merged;
  }

  // Windows begin at `shift` and wrap around the edges, but tokens that are neighbours only so do
  // not see each other.
  void Attend(const std::string& block, int heads, int side, int shift, Tokens& x) const {
    const int window = swin_.window;
    const int head_dim = static_cast<int>(x[0].size()) / heads;
    const auto row = [&](int t) { return t / side; };
    const auto column = [&](int t) { return t % side; };
    const auto window_of = [&](int position) { return (position + side - shift) % side / window; };
    const auto place_in = [&](int position) { return (position + side - shift) % side % window; };
    const auto sees = [&](int t, int u) {
      return window_of(row(t)) == window_of(row(u)) &&
             window_of(column(t)) == window_of(column(u)) && (row(t) < shift) == (row(u) < shift) &&
             (column(t) < shift) == (column(u) < shift);
    };
    const Vector& table = Get(block + "attn.relative_position_bias_table");
    const Tokens qkv = Qkv(block, x);
    std::vector<Map> maps;
    for (int h = 0; h < heads; ++h) {
      const auto bias = [&](int t, int u) {
        const int down = place_in(row(t)) - place_in(row(u)) + window - 1;
        const int right = place_in(column(t)) - place_in(column(u)) + window - 1;
        return table[(down * (2 * window - 1) + right) * heads + h];
      };
      maps.push_back(AttentionMap(qkv, h, head_dim, bias, sees));
    }
    AddProjected(block, Mix(maps, qkv, head_dim), x);
  }

  const TestSwin swin_;
};

void ExpectLogitsOfTheDefinition(const TestSwin& swin) {
  ReferenceSwin reference(swin, 11);
  ExpectLogitsOf(reference, swin, 11);
}

TEST(Swin, GivesTheLogitsOfItsDefinition) { ExpectLogitsOfTheDefinition({}); }

TEST(Swin, ShiftsOddWindowsOfManyToASide) {
  TestSwin swin;
  swin.image = 24;
  swin.window = 3;  // of 12 tokens a side, then of 6
  swin.depths = {3, 2};
  ExpectLogitsOfTheDefinition(swin);
}

TEST(Swin, HasAsManyStagesAsItsTensors) {
  TestSwin swin;
  swin.widths = {8, 16, 32};
  swin.depths = {1, 2, 2};
  swin.heads = {1, 2, 8};
  swin.window = 2;
  ExpectLogitsOfTheDefinition(swin);
}

}  // namespace
}  // namespace bitquake
