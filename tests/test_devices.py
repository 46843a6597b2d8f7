"""Devices: what there is, and how much memory."""

import os

import pytest
import torch

from frame_forecast import devices
from frame_forecast.devices import check_memory, choose_device, choose_precision, free_memory
from frame_forecast.errors import ConfigError


def test_the_processor_is_always_there() -> None:
    assert choose_device("cpu") == "cpu"
    with pytest.raises(ConfigError, match="cpu"):
        choose_device("abacus")


@pytest.mark.parametrize(
    ("name", "fast", "expected"),
    [("auto", True, torch.bfloat16), ("auto", False, torch.float32)]
    + [
        (name, fast, dtype)
        for name, dtype in (("bf16", torch.bfloat16), ("float32", torch.float32))
        for fast in (True, False)
    ],
)
def test_precision_is_what_was_asked_for_or_what_is_fast(
    name: str, fast: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "fast_bfloat16", lambda device: fast)
    assert choose_precision(name, "cpu") == expected


def test_a_precision_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="float16"):
        choose_precision("float16", "cpu")


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
