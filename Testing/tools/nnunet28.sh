#!/bin/sh
# Runs the tests of models and inference with the newest supported nnU-Net, in an environment of its own.
# Usage: Testing/tools/nnunet28.sh [environment, made when it is not there (5.5 GB)] [arguments of pytest]
set -eu
environment=${1:-/tmp/tuckerseg-nnunet28}
[ $# -eq 0 ] || shift
if [ ! -x "$environment/bin/pytest" ]; then
    "${PYTHON:-python3}" -m venv "$environment"
    # torch and all that needs it in one command: a second one could replace it by another build
    "$environment/bin/pip" install --quiet torch==2.14.1 torchvision==0.29.1 nnunetv2==2.8.1 \
        safetensors hypothesis pytest pytest-timeout
    "$environment/bin/pip" install --quiet --no-deps TotalSegmentator==2.18.0
fi
cd "$(dirname "$0")/../.."
exec "$environment/bin/python" -m pytest -q Testing/models/test_checkpoint.py Testing/models/test_nnunet.py Testing/inference/test_predict.py "$@"
