# The bundle: one archive that runs on any x86_64 Linux with glibc 2.36 or newer, from any folder.
#
#   bin/, bench/   the programs; for those that need LibTorch, deploy/bundle/with_libtorch.sh
#   libexec/       the programs that it starts
#   lib/           every shared library they need, but for glibc's, GCC's and LibTorch's
#   share/         man page, completions, and the licences of all of this
#   deploy/        what the repository's deploy/ has for those who have the programs
#   README.md, LICENSE
#
# `cmake --build --preset release --target bundle` builds the programs and packs them.

# A library beside the program goes before one that LD_LIBRARY_PATH names, also for the libraries'
# own needs: that is RPATH, not RUNPATH.
add_link_options(LINKER:--disable-new-dtags)

# In the build folder the plug-in for CUDA devices lies likewise.
set(CMAKE_BUILD_RPATH "\$ORIGIN/../lib")

# What the host has: glibc and GCC's run-time libraries, which older programs can use; and LibTorch
# with what it brings (an OpenMP of our own would be a second one in the process).
set(BITQUAKE_HOST_LIBRARIES
  "^ld-linux-x86-64\\.so" "^lib(c|m|dl|rt|pthread|util|resolv)\\.so" "^lib(stdc\\+\\+|gcc_s)\\.so"
  "^lib(torch|c10|gomp|cudart|cupti)")

# bitquake_bundle_program(NAME FOLDER DEPS): the target NAME goes into the bundle's FOLDER.
function(bitquake_bundle_program name folder deps)
  set_target_properties(${name} PROPERTIES INSTALL_RPATH "\$ORIGIN/../lib")
  set_property(GLOBAL APPEND PROPERTY BITQUAKE_PROGRAMS ${name})
  if(worker_engine IN_LIST deps)
    set(launcher ${PROJECT_BINARY_DIR}/bundle/with_libtorch.sh)
    configure_file(${PROJECT_SOURCE_DIR}/deploy/bundle/with_libtorch.sh.in ${launcher} @ONLY)
    install(PROGRAMS ${launcher} DESTINATION ${folder} RENAME ${name})
    set(folder libexec)
  endif()
  install(TARGETS ${name} RUNTIME_DEPENDENCY_SET bundled_libraries DESTINATION ${folder})
endfunction()

# Once, when all programs are known.
function(bitquake_bundle)
  install(RUNTIME_DEPENDENCY_SET bundled_libraries
    PRE_EXCLUDE_REGEXES ${BITQUAKE_HOST_LIBRARIES} DESTINATION lib)
  set(deploy ${PROJECT_SOURCE_DIR}/deploy)
  install(DIRECTORY ${deploy}/demo ${deploy}/campaigns ${deploy}/slurm ${deploy}/systemd
                    ${deploy}/kubernetes ${deploy}/prometheus ${deploy}/grafana DESTINATION deploy
    PATTERN __pycache__ EXCLUDE
    PATTERN alerts_test.yml EXCLUDE
    REGEX "/grafana/(dashboards\\.py|requirements\\.txt)$" EXCLUDE)
  install(FILES ${deploy}/make-credentials.sh DESTINATION deploy)
  install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION .)
  install(FILES ${BITQUAKE_PLOTLY_LICENCE} DESTINATION share/licences RENAME plotly.js)
  install(SCRIPT ${PROJECT_SOURCE_DIR}/deploy/cmake/licences.cmake)

  set(CPACK_GENERATOR TGZ)
  set(CPACK_PACKAGE_FILE_NAME bitquake-${BITQUAKE_STATED_VERSION}-linux-x86_64)
  set(CPACK_STRIP_FILES ON)
  set(CPACK_VERBATIM_VARIABLES ON)
  include(CPack)
  get_property(programs GLOBAL PROPERTY BITQUAKE_PROGRAMS)
  add_custom_target(bundle_programs DEPENDS ${programs})
  add_custom_target(bundle
    COMMAND ${CMAKE_CPACK_COMMAND} --config ${PROJECT_BINARY_DIR}/CPackConfig.cmake
    USES_TERMINAL VERBATIM)
  add_dependencies(bundle bundle_programs)
endfunction()
