# With ThreadSanitizer, what it must see of libraries that Debian built without it:
# tests/tsan/README.md.
#
# thread_edges: an object that goes into every program.
if(NOT BITQUAKE_SANITIZE MATCHES "thread")
  return()
endif()
execute_process(COMMAND bash ${PROJECT_SOURCE_DIR}/tests/tsan/abseil.sh
  OUTPUT_VARIABLE abseil OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
list(APPEND CMAKE_BUILD_RPATH ${abseil})

add_library(thread_edges OBJECT tests/tsan/grpc_edges.cc)
target_link_libraries(thread_edges PRIVATE absl::status gRPC::grpc++)
