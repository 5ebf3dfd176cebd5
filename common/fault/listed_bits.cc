#include "common/fault/listed_bits.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/suggest.h"

namespace bitquake {
namespace {

struct FoundBit {
  int tensor;
  int64_t index;
  int bit;
  size_t entry;

  auto place() const { return std::tie(tensor, index, bit); }
};

absl::Status EntryError(size_t entry, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("fault list, entry ", entry + 1, ": ", what));
}

// In the order of the list.
absl::StatusOr<std::vector<FoundBit>> Find(const Surface& surface,
                                           const std::vector<FaultModel::ListedBit>& list) {
  std::map<absl::string_view, int> tensors;
  for (size_t i = 0; i < surface.size(); ++i) {
    tensors[surface[i].name] = static_cast<int>(i);
  }
  std::vector<FoundBit> found;
  for (size_t i = 0; i < list.size(); ++i) {
    const FaultModel::ListedBit& listed = list[i];
    const auto tensor = tensors.find(listed.tensor);
    if (tensor == tensors.end()) {
      std::vector<std::string> names;
      for (const SurfaceTensor& known : surface) {
        names.push_back(known.name);
      }
      return EntryError(i, absl::StrCat("no tensor '", listed.tensor, "' on the fault surface",
                                        DidYouMean(listed.tensor, names)));
    }
    const int64_t words = surface[tensor->second].words();
    if (listed.index < 0 || listed.index >= words) {
      return EntryError(i, absl::StrCat("word ", listed.index, " of ", listed.tensor,
                                        " is not one of 0 to ", words - 1));
    }
    found.push_back({tensor->second, listed.index, listed.bit, i});
  }
  return found;
}

}  // namespace

absl::StatusOr<FaultList> FindListedBits(const Surface& surface,
                                         const std::vector<FaultModel::ListedBit>& list) {
  ASSIGN_OR_RETURN(std::vector<FoundBit> found, Find(surface, list));
  std::stable_sort(found.begin(), found.end(),
                   [](const FoundBit& a, const FoundBit& b) { return a.place() < b.place(); });
  FaultList faults;
  for (size_t i = 0; i < found.size(); ++i) {
    const FoundBit& bit = found[i];
    if (i > 0 && found[i - 1].place() == bit.place()) {
      return EntryError(bit.entry, absl::StrCat("bit ", bit.bit, " of word ", bit.index, " of ",
                                                surface[bit.tensor].name, " is that of entry ",
                                                found[i - 1].entry + 1, " too; remove one"));
    }
    if (faults.tensors.empty() || faults.tensors.back().tensor != bit.tensor) {
      faults.tensors.push_back({bit.tensor, {}});
    }
    std::vector<WordFault>& words = faults.tensors.back().faults;
    if (words.empty() || words.back().index != bit.index) {
      words.push_back({bit.index, 0});
    }
    words.back().mask |= uint32_t{1} << bit.bit;
  }
  return faults;
}

}  // namespace bitquake
