"""Packages that are not always installed."""

import importlib
from types import ModuleType

from frame_forecast.errors import ConfigError


def require(module: str, package: str) -> ModuleType:
    """A module of a package that is not always installed.

    Args:
        module: to import.
        package: what pip calls it, such as ``frame-forecast[science]``.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f"no package {module}", "it to be installed", f'run: pip install "{package}"') from error
