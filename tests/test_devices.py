"""Devices: what there is, and how much memory."""

import os

import pytest

from frame_forecast import devices
from frame_forecast.devices import check_memory, choose_device, free_memory
from frame_forecast.errors import ConfigError


def test_the_processor_is_always_there() -> None:
    assert choose_device("cpu") == "cpu"
    with pytest.raises(ConfigError, match="cpu"):
        choose_device("abacus")


def test_free_memory_is_part_of_what_is_there() -> None:
    free = free_memory()
    assert free is not None
    assert 0 < free <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "free_memory", lambda device: 2_000_000_000)
    check_memory(2_000_000_000, "clips", "take fewer")
    with pytest.raises(ConfigError) as error:
        check_memory(3_000_000_000, "clips", "take fewer")
    assert error.value.given == "clips, at least 3.0 GB"
    assert error.value.expected == "2.0 GB at most, which are free on cpu"


def test_nothing_is_refused_where_memory_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "free_memory", lambda device: None)
    check_memory(10**30, "clips", "take fewer")
