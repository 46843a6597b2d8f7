"""The models of the page, loaded when they are first asked for."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frame_forecast import choose, predict, weights
from frame_forecast.choose import Candidates
from frame_forecast.data.sources import data_set_of
from frame_forecast.errors import ConfigError
from frame_forecast.models import TASKS, UNTRAINED
from frame_forecast.predict import AUTO, Forecaster
from frame_forecast.studio.samples import TITLES

_USUAL = 10  # frames to forecast by what was trained on no number of them
_NAMES = {
    "optical_flow": "Optical flow",
    "linear": "Linear interpolation",
    "nearest": "Nearest frame",
    "copy_last": "Last frame",
    "mean_frame": "Mean frame",
    "black": "Black",
}
_RELEASED_FOR = {"moving_mnist": "moving_mnist", "moving_scenes": "motion"}


class Methods:
    """Models by name.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        own: folders of weights, or of runs that may have some one day, by name.
    """

    def __init__(self, device: str = "auto", own: Mapping[str, Path] | None = None) -> None:
        self._device = device
        self._places: dict[str, str | Path] = dict(own or {})
        for name in (*weights.tags(), *UNTRAINED):
            self._places.setdefault(name, name)
        self._loaded: dict[str, Forecaster | Candidates] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> Forecaster | Candidates:
        """A model, or for `AUTO` those to choose from.

        Raises:
            ConfigError: no such model.
            FrameForecastError: whatever loading raises.
        """
        if name != AUTO and name not in self._places:
            raise ConfigError(f"model {name!r}", f"one of {', '.join([AUTO, *self._places])}", "choose one")
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = (
                    choose.load(AUTO, device=self._device)
                    if name == AUTO
                    else predict.load(self._places[name], self._device)
                )
            return self._loaded[name]

    def describe(self) -> list[dict[str, Any]]:
        """What a page is told of each: those with weights first, then `AUTO`, then those without."""
        trained = [self._trained(name) for name in self._places if self.has_weights(name)]
        best = {
            "name": AUTO,
            "title": "Best on your data",
            "tasks": list(TASKS),
            "parameters": 0,
            "longest": None,
            "horizon": _USUAL,
            "trained_on": None,
            "best_for_samples": [],
            "kind": AUTO,
        }
        untrained = [self._untrained(name) for name in UNTRAINED if self._places[name] == name]
        return [*trained, best, *untrained]

    def has_weights(self, name: str) -> bool:
        """Whether one of that name has weights: a run may have some one day."""
        place = self._places[name]
        if isinstance(place, str):
            return place not in UNTRAINED
        return any((folder / weights.CONFIG).is_file() for folder in (place, place / "weights"))

    def best(self, sample: str) -> str | None:
        """The best released weights for the clips of a data set; None where there are none."""
        return weights.aliases().get(_RELEASED_FOR[sample])

    def _trained(self, name: str) -> dict[str, Any]:
        forecaster = self.get(name)
        assert isinstance(forecaster, Forecaster)
        contract = forecaster.contract
        data = contract.data.get("name", "")
        best_for = [sample for sample in TITLES if self.best(sample) == name]
        trained_on = TITLES[data_set_of(data)]
        return {
            "name": name,
            "title": f"{_shown(name)}, trained on {trained_on}",
            "tasks": [task for task in TASKS if task in forecaster.model.tasks],
            "parameters": sum(parameter.numel() for parameter in forecaster.model.parameters()),
            "longest": forecaster.longest,
            "horizon": contract.horizon,
            "trained_on": trained_on,
            "best_for_samples": best_for,
            "kind": "weights",
        }

    def _untrained(self, name: str) -> dict[str, Any]:
        forecaster = self.get(name)
        assert isinstance(forecaster, Forecaster)
        return {
            "name": name,
            "title": _NAMES[name],
            "tasks": [task for task in TASKS if task in forecaster.model.tasks],
            "parameters": 0,
            "longest": forecaster.longest,
            "horizon": _USUAL,
            "trained_on": None,
            "best_for_samples": [],
            "kind": "baseline",
        }


def _shown(name: str) -> str:
    """``masked_lstm_small.motion`` as people write it, ``Masked LSTM small``; a run's name as it is."""
    if name not in weights.tags():
        return name
    words = name.partition(".")[0].replace("_", " ").replace("lstm", "LSTM")
    return words[0].upper() + words[1:]
