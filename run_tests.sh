#!/usr/bin/env bash
# Sets up and runs every check: style, types, layers, tests. With --browser before all else, the tests that drive the
# page in Chromium as well, which is installed where it is missing. Options go to pytest, such as
#   ./run_tests.sh -m slow
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. tools/environment.sh

prepare_browser() {
  command -v chromium >/dev/null && return
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "installing chromium"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends chromium >/dev/null
  fi
  command -v chromium >/dev/null || {
    echo "chromium: not found; install it (on Debian, as root: apt-get install chromium) or leave out --browser" >&2
    return 2
  }
}

if [ "${1:-}" = --browser ]; then
  shift
  prepare_browser || exit 2
  set -- -m "not slow" "$@"
fi
prepare_environment requirements-dev.txt
ruff check .
ruff format --check .
pyright
lint-imports
OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}" python -m pytest "$@"
