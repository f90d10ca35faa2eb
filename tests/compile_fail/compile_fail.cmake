# One compile-fail case; CMakeLists.txt beside this file says what a case looks like. Or, with a header for SOURCE: compiles it in advance.
# usage: cmake -DCOMPILER=<path> -DROOT=<source tree> -DGENERATED=<generated headers> -DHEADER=<header> -DSOURCE=<file> -P compile_fail.cmake
cmake_minimum_required(VERSION 3.24)

set(ENV{LC_ALL} C)
set(flags -std=c++20 -fdiagnostics-color=never -Wall -Wextra -Werror=unused-result -Werror=unused-value
          "-I${ROOT}/runtime/include" "-I${ROOT}/combinators/include" "-I${GENERATED}")

if(SOURCE STREQUAL HEADER)
  execute_process(COMMAND "${COMPILER}" ${flags} -x c++-header "${HEADER}" -o "${HEADER}.gch" COMMAND_ERROR_IS_FATAL ANY)
  return()
endif()

file(READ "${SOURCE}" source)
list(APPEND flags -fsyntax-only)
if(NOT source MATCHES "#define")
  list(APPEND flags -include "${HEADER}")  # both compilers take the .gch beside it
endif()

function(compile out_result out_text)
  execute_process(COMMAND "${COMPILER}" ${flags} ${ARGN} "${SOURCE}" RESULT_VARIABLE result OUTPUT_VARIABLE text ERROR_VARIABLE text)
  set(${out_result} "${result}" PARENT_SCOPE)
  set(${out_text} "${text}" PARENT_SCOPE)
endfunction()

string(REGEX MATCHALL "// expect: [^\n]+" expected "${source}")

compile(result text)
if(NOT expected)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "it does not compile, and must\n${text}")
  endif()
  return()
endif()

if(result EQUAL 0)
  message(FATAL_ERROR "it compiles, and must not")
endif()
foreach(line IN LISTS expected)
  string(REGEX REPLACE "^// expect: " "" sentence "${line}")
  string(FIND "${text}" "${sentence}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "no error says: ${sentence}\n${text}")
  endif()
endforeach()

string(REGEX MATCHALL ":[0-9]+: (fatal )?error: " errors "${text}")
list(LENGTH errors errors)
list(LENGTH expected sentences)
if(errors GREATER sentences AND NOT source MATCHES "// other errors: allowed")
  message(FATAL_ERROR "${errors} errors, and only this is expected: ${expected}\n${text}")
endif()

if(source MATCHES "SHEAF_CONTROL")
  compile(result text -DSHEAF_CONTROL)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "the control does not compile\n${text}")
  endif()
endif()
