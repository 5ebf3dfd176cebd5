# What Bitquake stands on: Debian's packages, and LibTorch and plotly.js from PyPI's wheels.
# deploy/setup.sh installs all of it.
find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(LibArchive REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(Boost REQUIRED)  # headers of Boost.Math only
find_package(PkgConfig REQUIRED)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(RE2 REQUIRED IMPORTED_TARGET re2)
find_library(CIVETWEB_LIBRARY civetweb REQUIRED)

# Where deploy/setup.sh puts wheels.
set(cache_folder $ENV{HOME}/.cache/bitquake)
if(NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
  set(cache_folder $ENV{XDG_CACHE_HOME}/bitquake)
endif()

# The report embeds plotly.js.
set(BITQUAKE_PLOTLY_FOLDER ${cache_folder}/plotly-7.1.0 CACHE PATH "Folder that holds plotly/ of the wheel")
set(BITQUAKE_PLOTLY ${BITQUAKE_PLOTLY_FOLDER}/plotly/package_data/plotly.min.js)
set(BITQUAKE_PLOTLY_LICENCE ${BITQUAKE_PLOTLY_FOLDER}/plotly-7.1.0.dist-info/licenses/LICENSE.txt)
if(NOT EXISTS ${BITQUAKE_PLOTLY} OR NOT EXISTS ${BITQUAKE_PLOTLY_LICENCE})
  message(FATAL_ERROR "plotly.js not found in ${BITQUAKE_PLOTLY_FOLDER}; run deploy/setup.sh")
endif()

# The wheel's CMake package insists on a CUDA toolkit, which neither the build nor a CPU worker
# needs; so its two CPU libraries are imported here. The GPU is found at run time.
if(BITQUAKE_BUILD_WORKER)
  set(default_libtorch ${cache_folder}/libtorch-2.11.0)
  if(NOT "$ENV{BITQUAKE_LIBTORCH}" STREQUAL "")
    set(default_libtorch $ENV{BITQUAKE_LIBTORCH})
  endif()
  set(BITQUAKE_LIBTORCH ${default_libtorch} CACHE PATH "Folder that holds torch/ and nvidia/ of the wheels")
  set(torch_root ${BITQUAKE_LIBTORCH}/torch)
  if(NOT EXISTS ${torch_root}/lib/libtorch_cpu.so)
    message(FATAL_ERROR "LibTorch not found in ${BITQUAKE_LIBTORCH}; run deploy/setup.sh, or set "
                        "BITQUAKE_LIBTORCH, or configure with -DBITQUAKE_BUILD_WORKER=OFF")
  endif()
  file(STRINGS ${torch_root}/version.py version_line REGEX "^__version__")
  if(NOT version_line MATCHES "'(([0-9]+\\.[0-9]+)\\.[0-9]+)")
    message(FATAL_ERROR "${torch_root}/version.py does not say which LibTorch this is; remove "
                        "${BITQUAKE_LIBTORCH} and run deploy/setup.sh")
  endif()
  set(BITQUAKE_TORCH_VERSION ${CMAKE_MATCH_1})
  set(BITQUAKE_TORCH_RELEASE ${CMAKE_MATCH_2})
  foreach(lib c10 torch_cpu)
    add_library(libtorch::${lib} SHARED IMPORTED)
    set_target_properties(libtorch::${lib} PROPERTIES
      IMPORTED_LOCATION ${torch_root}/lib/lib${lib}.so
      INTERFACE_INCLUDE_DIRECTORIES
        "${torch_root}/include;${torch_root}/include/torch/csrc/api/include")
  endforeach()
  file(GLOB cuda_runtime ${BITQUAKE_LIBTORCH}/nvidia/cu13/lib)
  set(BITQUAKE_CUDA_INCLUDE ${BITQUAKE_LIBTORCH}/nvidia/cu13/include)
  set_property(TARGET libtorch::torch_cpu APPEND PROPERTY INTERFACE_LINK_LIBRARIES libtorch::c10)
  set_property(TARGET libtorch::torch_cpu APPEND PROPERTY INTERFACE_LINK_OPTIONS
    "LINKER:-rpath-link,${cuda_runtime}")
endif()
