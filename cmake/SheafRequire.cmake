# sheaf_require(<name> <debian-package> [find_package arguments...])
#
# find_package() whose failure says which Debian package to install. A macro: what find_package() sets belongs to the caller.
macro(sheaf_require _sheaf_name _sheaf_package)
  find_package(${_sheaf_name} QUIET ${ARGN})
  if(NOT ${_sheaf_name}_FOUND)
    message(FATAL_ERROR "Sheaf needs ${_sheaf_name}, which was not found. On Debian: apt-get install ${_sheaf_package}")
  endif()
endmacro()
