# Part of installing the bundle: the licences of its shared libraries, as their Debian packages state
# them.
set(prefix $ENV{DESTDIR}${CMAKE_INSTALL_PREFIX})
file(GLOB libraries RELATIVE ${prefix}/lib ${prefix}/lib/*.so*)
list(FILTER libraries EXCLUDE REGEX "^libbitquake_")
list(TRANSFORM libraries PREPEND "*/")
execute_process(COMMAND dpkg-query --search ${libraries}
  OUTPUT_VARIABLE owners RESULT_VARIABLE failed)
string(REGEX MATCHALL "(^|\n)[^:\n]+" packages "${owners}")
string(REPLACE "\n" "" packages "${packages}")
list(REMOVE_DUPLICATES packages)
if(failed OR NOT packages)
  message(FATAL_ERROR "dpkg-query does not know whose the bundle's libraries are; build on Debian")
endif()
foreach(package ${packages})
  file(INSTALL /usr/share/doc/${package}/copyright
    DESTINATION ${CMAKE_INSTALL_PREFIX}/share/licences RENAME ${package})
endforeach()
