// NVIDIA's GPUs of this host, as the kernel's driver tells; no library of CUDA is loaded.
#pragma once

#include <string>
#include <vector>

namespace bitquake {

// {"NVIDIA H200"}; empty without a driver. `driver` is the folder in which it tells of itself.
std::vector<std::string> HostGpus(const std::string& driver = "/proc/driver/nvidia");

// "580.159.04", or empty.
std::string GpuDriverVersion(const std::string& driver = "/proc/driver/nvidia");

// What a person is told whose run is on the CPU for want of --device, though there are GPUs; else
// empty.
std::string UnusedGpusText(const std::vector<std::string>& gpus);

}  // namespace bitquake
