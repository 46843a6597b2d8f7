"""The classic entry point, ``python3 src/lstm_autoencoder.py``: trains, evaluates and shows
the LSTM autoencoder on Moving MNIST. The same as ``frame-forecast demo``, options included.
"""

import sys

from frame_forecast.__main__ import main

if __name__ == "__main__":
    sys.argv.insert(1, "demo")
    main()
