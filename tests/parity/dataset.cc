// What Bitquake finds in a data set's folder, for dataset_parity.py to compare.
//
//   parity_dataset FOLDER
//
// Prints a line for each sample, in order: its label, a blank, the path of its file.
#include "worker/data/dataset.h"

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: parity_dataset FOLDER\n";
    return 2;
  }
  const auto dataset = bitquake::Dataset::Open(argv[1]);
  if (!dataset.ok()) {
    std::cerr << "parity_dataset: " << dataset.status().ToString() << "\n";
    return 1;
  }
  for (const bitquake::Sample& sample : dataset->samples()) {
    std::cout << sample.label << " " << dataset->shards()[sample.shard] << "\n";
  }
  return 0;
}
