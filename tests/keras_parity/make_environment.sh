#!/bin/sh
# Make the environment that record.py runs in: real Keras, kept apart from facegan's own environment.
#   make_environment.sh [FOLDER]      PYTHON=python3.11 chooses the interpreter; 1.6 GB, about a minute
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/facegan/keras-parity}
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
echo "$folder/bin/python"
