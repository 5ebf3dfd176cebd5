# bitquake_library(common_base SOURCES a.cc b.cc DEPS absl::status)
# What only the sources include, not the headers, goes under PRIVATE_DEPS.
# One folder, one library. Includes are written from the repository root: "common/base/clock.h".
function(bitquake_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
  target_link_libraries(${name} PUBLIC ${arg_DEPS} PRIVATE ${arg_PRIVATE_DEPS})
endfunction()

# For code that is compiled more often than anyone waits for it: flags, files, tests.
set(BITQUAKE_LIGHT_OPTIMISATION $<$<CONFIG:Release>:-O1>)

# Where the bundle (bundle.cmake) has the programs of a source folder; tests/bench sets another.
set(BITQUAKE_PROGRAM_FOLDER bin)

# bitquake_program(bitquake-server SOURCES main.cc DEPS server_service)
function(bitquake_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} $<TARGET_NAME_IF_EXISTS:thread_edges>)
  set_source_files_properties(main.cc PROPERTIES COMPILE_OPTIONS ${BITQUAKE_LIGHT_OPTIMISATION})
  bitquake_bundle_program(${name} ${BITQUAKE_PROGRAM_FOLDER} "${arg_DEPS}")
endfunction()

# bitquake_test(sampler_test SOURCES sampler_test.cc DEPS common_fault)
# GoogleTest's headers are parsed once, in PRECOMPILED: the target test_headers, or another. ctest's
# label of the test is its folder: -L server.
function(bitquake_test name)
  cmake_parse_arguments(arg "" "PRECOMPILED" "SOURCES;DEPS" ${ARGN})
  if(NOT arg_PRECOMPILED)
    set(arg_PRECOMPILED test_headers)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} GTest::gmock GTest::gtest_main
    $<TARGET_NAME_IF_EXISTS:thread_edges>)
  target_precompile_headers(${name} REUSE_FROM ${arg_PRECOMPILED})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name})
  file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR}/tests ${CMAKE_CURRENT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS ${folder})
endfunction()
