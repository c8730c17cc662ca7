include(CTest)

function(_require name)
  if("${${name}}" STREQUAL "")
    message(FATAL_ERROR "${name} is not set")
  endif()
endfunction()

# Copies below the current source folder keep their relative path, as in Slicer; a file that is missing is an error.
function(ctkMacroCompilePythonScript)
  cmake_parse_arguments(MY "NO_INSTALL_SUBDIR" "TARGET_NAME;DESTINATION_DIR;INSTALL_DIR" "SCRIPTS;RESOURCES" ${ARGN})
  foreach(name MY_TARGET_NAME MY_SCRIPTS MY_DESTINATION_DIR MY_INSTALL_DIR)
    _require(${name})
  endforeach()
  foreach(file IN LISTS MY_SCRIPTS MY_RESOURCES)
    if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
      message(SEND_ERROR "${MY_TARGET_NAME} lists ${file}, which does not exist")
      continue()
    endif()
    get_filename_component(folder "${file}" DIRECTORY)
    install(FILES "${CMAKE_CURRENT_SOURCE_DIR}/${file}" DESTINATION "${MY_INSTALL_DIR}/${folder}")
  endforeach()
endfunction()

function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MY_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "slicerMacroBuildScriptedModule does not know ${MY_UNPARSED_ARGUMENTS}")
  endif()
  _require(MY_NAME)
  ctkMacroCompilePythonScript(
    TARGET_NAME ${MY_NAME}
    SCRIPTS "${MY_SCRIPTS}"
    RESOURCES "${MY_RESOURCES}"
    DESTINATION_DIR ${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}
    INSTALL_DIR ${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}
    NO_INSTALL_SUBDIR
    )
endfunction()

function(slicer_add_python_unittest)
  cmake_parse_arguments(MY "" "SCRIPT;TESTNAME_PREFIX" "SLICER_ARGS" ${ARGN})
  if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${MY_SCRIPT}")
    message(FATAL_ERROR "slicer_add_python_unittest is given ${MY_SCRIPT}, which does not exist")
  endif()
  add_test(NAME py_${MY_SCRIPT} COMMAND "${CMAKE_COMMAND}" -E true)
endfunction()
