#!/usr/bin/env bash
# Sets up and runs every check: style, types, layers, tests. Options go to pytest, such as
#   ./run_tests.sh -m slow
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. tools/environment.sh
prepare_environment requirements-dev.txt
ruff check .
ruff format --check .
pyright
lint-imports
OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}" python -m pytest "$@"
