"""What a backtest says in words, and as JSON and CSV."""

import json
import math
from dataclasses import replace

import pytest

from frame_forecast.errors import ConfigError
from frame_forecast.results import Machine
from frame_forecast.scale import ValueScale
from frame_forecast.skill import CSV_HEAD, Backtest, Method, Row, Threshold

EVENT = Threshold(0.25, 3.0)


def made(step_seconds: float | None = 300.0, **psnr: list[float]) -> Backtest:
    """A backtest of a network beside methods without weights, each with these decibels."""
    methods = [Method(name, "c0ffee" if name.startswith("net") else None, 10) for name in psnr]
    return Backtest(
        source="scans",
        frames=40,
        horizon=len(next(iter(psnr.values()))),
        origins=[10, 20],
        step_seconds=step_seconds,
        units="mm",
        scale=ValueScale(0.0, 1.0),
        methods=methods,
        conventions={"psnr": "decibels"},
        rows=[Row(name, "psnr", None, sum(values) / len(values), values) for name, values in psnr.items()],
        machine=Machine("a processor", 2, "2.13.0", "cpu"),
        seconds=1.5,
    )


def test_how_far_a_network_beats_the_best_of_all_without_weights() -> None:
    found = made(net=[9, 8, 7, 1], copy_last=[1, 2, 6, 4], optical_flow=[8, 1, 1, 1])
    assert found.verdicts() == [
        "net beats the best of copy_last, optical_flow up to lead time 3 of 4 (15 min) by PSNR",
        "optical_flow beats copy_last up to lead time 1 of 4 (5 min) by PSNR",
    ]


def test_networks_are_not_each_others_rivals_and_baselines_have_none() -> None:
    found = made(net=[1, 1], net_small=[2, 2], copy_last=[0, 0], mean_frame=[0, 0])
    assert [one.name for one in found.rivals(found.methods[0])] == ["copy_last", "mean_frame"]
    assert found.rivals(found.methods[2]) == []
    assert len(found.verdicts()) == 2


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ([0, 0, 0, 0], "net beats copy_last at no lead time by PSNR"),
        ([1, 1, 1, 1], "net beats copy_last at no lead time by PSNR"),  # as good is not better
        ([math.nan] * 4, "net beats copy_last at no lead time by PSNR"),
        ([0, 2, 2, 0], "net beats copy_last at lead times 2-3 of 4 alone by PSNR"),
        ([2, 2, 2, 2], "net beats copy_last up to lead time 4 of 4 (20 min) by PSNR"),
    ],
)
def test_where_it_is_better(own: list[float], said: str) -> None:
    assert made(net=own, copy_last=[1, 1, 1, 1]).verdicts() == [said]


def test_lower_is_better_for_some_scores_and_events_have_verdicts_of_their_own() -> None:
    found = made(net=[2, 2], copy_last=[1, 1])
    rows = [
        *found.rows,
        *(Row(name, "rmse", None, 0, values) for name, values in (("net", [1, 5]), ("copy_last", [2, 4]))),
        *(Row(name, "csi", EVENT, 0, values) for name, values in (("net", [0.5, 0.1]), ("copy_last", [0.4, 0.2]))),
    ]
    found = replace(found, rows=rows)
    assert found.wins(found.methods[0], "rmse", None) == [1]
    assert found.verdicts()[1] == "net beats copy_last up to lead time 1 of 2 (5 min) by CSI at 3 mm/h"


@pytest.mark.parametrize(
    ("step", "lead_time", "said"),
    [
        (0.04, 3, "0.12 s"),
        (1, 100, "100 s"),
        (300, 7, "35 min"),
        (300, 24, "2 h"),
        (600, 25, "4.17 h"),
        (None, 7, None),
    ],
)
def test_spans_of_time(step: float | None, lead_time: int, said: str | None) -> None:
    assert made(step, net=[1]).span(lead_time) == said


def test_labels_of_thresholds() -> None:
    assert EVENT.label("mm") == "3 mm/h"
    assert Threshold(35.0).label("dBZ") == "35 dBZ"
    assert Threshold(128.0).label("") == "128"


def test_json_and_csv_have_every_number_and_nothing_that_json_lacks() -> None:
    found = made(net=[2, math.nan], net_small=[1, 1])
    events = [Row("net", "csi", EVENT, math.nan, [0.5, math.nan]), Row("net_small", "csi", EVENT, 0.5, [0.5, 0.5])]
    found = replace(found, rows=[*found.rows, *events])
    record = json.loads(json.dumps(found.to_json_dict(), allow_nan=False))
    assert record["schema"] == 1
    assert record["methods"][0] == {"name": "net", "weights_sha256": "c0ffee", "context": 10}
    assert record["rows"][0]["per_lead_time"] == [2, None]
    assert record["rows"][2]["threshold"] == {"value": 0.25, "mm_per_hour": 3.0}
    assert record["rows"][2]["overall"] is None
    assert len(CSV_HEAD) == 6
    assert list(found.csv_rows())[:6] == [
        ("net", 1, 300.0, "psnr", None, 2),
        ("net", 2, 600.0, "psnr", None, None),
        ("net_small", 1, 300.0, "psnr", None, 1),
        ("net_small", 2, 600.0, "psnr", None, 1),
        ("net", 1, 300.0, "csi", 0.25, 0.5),
        ("net", 2, 600.0, "csi", 0.25, None),
    ]


def test_a_row_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="ssim"):
        made(net=[1]).row("net", "ssim")
