#!/bin/sh
# Runs the module's self-test in a real 3D Slicer without a window: Testing/tools/run_in_slicer.sh PATH_TO_SLICER
# Slicer needs the Python packages that the panel offers to install. Exit status 0 means that every test passed.
set -eu

if [ $# -ne 1 ]; then
  echo "usage: $0 PATH_TO_SLICER" >&2
  exit 2
fi
root=$(cd "$(dirname "$0")/../.." && pwd)

exec "$1" --no-splash --no-main-window --testing --ignore-slicerrc \
  --additional-module-paths "$root/TuckerSeg" \
  --python-code '
import unittest
import slicer
import TuckerSeg
suite = unittest.TestLoader().loadTestsFromTestCase(TuckerSeg.TuckerSegTest)
result = unittest.TextTestRunner(verbosity=2).run(suite)
slicer.util.exit(0 if result.wasSuccessful() and result.testsRun else 1)
'
