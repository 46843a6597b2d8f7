"""``python -m frame_forecast`` and the ``frame-forecast`` command."""

import sys

from frame_forecast.errors import FrameForecastError


def main() -> None:
    """Runs the command line. The one place that turns errors into a line and an exit code."""
    from frame_forecast.cli import app

    try:
        app()
    except FrameForecastError as error:
        print(f"frame-forecast: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:
        if end.code == 130:  # Typer's answer to Ctrl-C, which says nothing
            print("frame-forecast: interrupted", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
