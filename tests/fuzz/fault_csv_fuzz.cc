// A list of faulty bits, as CSV.
#include <set>
#include <tuple>

#include "absl/status/status.h"
#include "common/campaign/fault_csv.h"
#include "tests/fuzz/must.h"

namespace bitquake {
namespace {

using Bit = std::tuple<std::string, int64_t, int>;

Bit Of(const FaultModel::ListedBit& listed) { return {listed.tensor, listed.index, listed.bit}; }

}  // namespace
}  // namespace bitquake

int bitquake::Fuzz(const uint8_t* data, size_t size) {
  const auto list = ParseFaultCsv(Text(data, size));
  if (!list.ok()) {
    Must(absl::IsInvalidArgument(list.status()), "a refusal is the file's fault");
    return 0;
  }
  std::set<Bit> bits;
  for (const FaultModel::ListedBit& listed : *list) {
    Must(listed.index >= 0 && listed.bit >= 0 && listed.bit < 32, "a listed bit is one of a word");
    Must(bits.insert(Of(listed)).second, "no bit is listed twice");
  }
  const auto again = ParseFaultCsv(ToFaultCsv(*list));
  Must(again.ok() && again->size() == list->size(), "a written list is read");
  for (size_t i = 0; i < list->size(); ++i) {
    Must(Of((*again)[i]) == Of((*list)[i]), "a written list is read as the same");
  }
  return 0;
}
