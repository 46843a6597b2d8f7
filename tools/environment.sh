# Sourced by run_lstm.sh and run_tests.sh: a virtual environment with what a requirements file pins.
# Installs nothing when the file and pyproject.toml are as they were at the last installation.

prepare_environment() {
  local requirements=$1
  if [ -z "${VIRTUAL_ENV:-}" ]; then
    if [ ! -x .venv/bin/python ]; then
      local python
      python=$(command -v python3) || { echo "python3: not found; install Python 3.11 or newer" >&2; return 2; }
      "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "$("$python" --version): expected Python 3.11 or newer; install one and put it first in PATH" >&2
        return 2
      }
      echo "making .venv"
      "$python" -m venv .venv || {
        rm -rf .venv
        echo "no virtual environment could be made; on Debian: apt install python3-venv" >&2
        return 2
      }
    fi
    # shellcheck disable=SC1091
    . .venv/bin/activate
  fi
  local stamp="$VIRTUAL_ENV/.frame-forecast-$requirements" wanted
  wanted=$(cat requirements.txt "$requirements" pyproject.toml | cksum; pwd)
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "installing $requirements"
    python -m pip install --quiet --disable-pip-version-check -r "$requirements" || return 2
    python -m pip install --quiet --disable-pip-version-check --no-deps -e . || return 2
    printf '%s\n' "$wanted" >"$stamp"
  fi
}
