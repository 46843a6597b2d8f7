"""The small server that shows a run's page."""

from frame_forecast.viewer.server import Server, serve_folder

__all__ = ["Server", "serve_folder"]
