#!/usr/bin/env bash
# Build the environment in which record.py runs: bash tests/peers/make_environment.sh DIR
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
python3 -m venv "$1"
"$1/bin/python" -m pip install --quiet torch==2.13.0 numpy scipy tqdm pillow scikit-learn safetensors
"$1/bin/python" -m pip install --quiet --no-deps -r "$here/requirements.txt"
