# bitquake_library(common_base SOURCES a.cc b.cc DEPS absl::status)
# What only the sources include, not the headers, goes under PRIVATE_DEPS.
# One folder, one library. Includes are written from the repository root: "common/base/clock.h".
function(bitquake_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
  target_link_libraries(${name} PUBLIC ${arg_DEPS} PRIVATE ${arg_PRIVATE_DEPS})
endfunction()

function(bitquake_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_DEPS})
endfunction()

# bitquake_test(sampler_test SOURCES fault/sampler_test.cc DEPS common_fault)
# Tests find their data by BITQUAKE_SOURCE_DIR, and the programs in BITQUAKE_BIN_DIR.
function(bitquake_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE
    BITQUAKE_SOURCE_DIR="${PROJECT_SOURCE_DIR}" BITQUAKE_BIN_DIR="${CMAKE_BINARY_DIR}/bin")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
endfunction()
