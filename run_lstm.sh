#!/usr/bin/env bash
# Sets up and runs the main job: train an LSTM autoencoder on Moving MNIST, evaluate it, write a
# report and show the run on a page at http://localhost:8000. Options go to `frame-forecast demo`:
#   ./run_lstm.sh [--minutes N] [--no-view]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. tools/environment.sh
prepare_environment requirements.txt
exec python -m frame_forecast demo "$@"
