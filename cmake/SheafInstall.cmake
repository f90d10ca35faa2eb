include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(SHEAF_CONFIG_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/sheaf")

install(
  TARGETS sheaf sheaf_runtime sheaf_combinators
  EXPORT sheafTargets
  FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT sheafTargets NAMESPACE sheaf:: DESTINATION "${SHEAF_CONFIG_DIR}")

configure_package_config_file(cmake/sheafConfig.cmake.in "${PROJECT_BINARY_DIR}/sheafConfig.cmake"
                              INSTALL_DESTINATION "${SHEAF_CONFIG_DIR}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/sheafConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/sheafConfig.cmake" "${PROJECT_BINARY_DIR}/sheafConfigVersion.cmake"
        DESTINATION "${SHEAF_CONFIG_DIR}")
