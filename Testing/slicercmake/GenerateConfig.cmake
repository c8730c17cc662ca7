# The description that an extension is published with, one line a field.
set(fields)
foreach(name HOMEPAGE CATEGORY CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS)
  _require(EXTENSION_${name})
  string(APPEND fields "${name} ${EXTENSION_${name}}\n")
endforeach()
file(WRITE "${CMAKE_BINARY_DIR}/description.txt" "${fields}")
