# What Bitquake stands on: Debian's packages, and LibTorch from the PyPI wheel.
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

# The wheel's CMake package insists on a CUDA toolkit, which neither the build nor a CPU worker
# needs; so its two CPU libraries are imported here. The GPU is found at run time.
if(BITQUAKE_BUILD_WORKER)
  if(NOT "$ENV{BITQUAKE_LIBTORCH}" STREQUAL "")
    set(default_libtorch $ENV{BITQUAKE_LIBTORCH})
  elseif(NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
    set(default_libtorch $ENV{XDG_CACHE_HOME}/bitquake/libtorch-2.11.0)
  else()
    set(default_libtorch $ENV{HOME}/.cache/bitquake/libtorch-2.11.0)
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
