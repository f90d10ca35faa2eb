include(GNUInstallDirs)

# sheaf_library(<component>): the compiled target sheaf_<component>, known to users as sheaf::<component>. The caller adds sources and
# headers. No warning, sanitizer or optimisation flag belongs here: those come from presets and never reach an exported target.
function(sheaf_library component)
  set(target sheaf_${component})
  add_library(${target})
  add_library(sheaf::${component} ALIAS ${target})
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(
    ${target}
    PROPERTIES EXPORT_NAME ${component}
               CXX_EXTENSIONS OFF
               LINKER_LANGUAGE CXX
               VERSION ${PROJECT_VERSION}
               SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
               VERIFY_INTERFACE_HEADER_SETS ${PROJECT_IS_TOP_LEVEL})
endfunction()
