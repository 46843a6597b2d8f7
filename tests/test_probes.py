"""Where something is hidden: as what is missing is, and nothing of it shown."""

import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from frame_forecast import streaming
from frame_forecast.header import Header
from frame_forecast.io.base import Frame
from frame_forecast.places import PARTLY, Place, for_forecast, for_reconstruct, for_recreate
from frame_forecast.probes import Probe, distances, gather

T, SIDE, LONGEST, MOST = 60, 12, 20, 32


def frames(observed: np.ndarray) -> Iterator[Frame]:
    """Each frame's values are its number, and its pixels' numbers in a second channel."""
    count, _, H, W = observed.shape
    pixels = np.arange(H * W, dtype=np.float32).reshape(H, W)
    return (Frame(np.stack([np.full((H, W), t, np.float32), pixels]), observed[t]) for t in range(count))


def survey(observed: np.ndarray, known: bool | np.ndarray = True) -> streaming.Survey:
    """Of frames of which all is ``known`` but some is not to be seen."""
    count, _, H, W = observed.shape
    header = Header("array", count, 2, H, W, np.dtype(np.float32))
    source = frames(np.broadcast_to(known, observed.shape))
    return streaming.survey(zip(source, frames(observed), strict=True), header, LONGEST)


def whole(*missing: int, count: int = T) -> np.ndarray:
    observed = np.ones((count, 1, SIDE, SIDE), dtype=bool)
    observed[list(missing)] = False
    return observed


def probes_of(observed: np.ndarray, places: list[Place]) -> list[Probe]:
    return gather(frames(observed), places, survey(observed))


def test_distances_of_a_worked_example() -> None:
    observed = np.array([0, 0, 1, 0, 0, 0, 1, 0], dtype=bool).reshape(-1, 1, 1, 1)
    assert distances(observed).ravel().tolist() == [2, 1, 0, 1, 2, 1, 0, 1]
    assert not distances(np.zeros((4, 1, 2, 2), dtype=bool)).any()


@pytest.mark.parametrize("missing", [range(30, 33), [10, 11, 12, 40, 41, 42], [4, 9, 10, 20, 21, 22, 40]])
def test_gaps_keep_their_length_and_have_an_observed_frame_at_either_end(missing: list[int]) -> None:
    lost = set(missing)
    lengths = {length for length in (1, 2, 3) if any({*range(t, t + length)} <= lost for t in lost)}
    plan = for_recreate(survey(whole(*missing)), MOST)
    assert len(plan.places) >= 20
    for place in plan.places:
        start, stop = place.hidden[0], place.hidden[-1] + 1
        assert list(place.hidden) == list(range(start, stop))
        assert stop - start in lengths
        assert not {start - 1, stop} & lost
        assert set(place.scored) == set(place.hidden) - lost != set()
        assert list(place.distances) == [min(t - start + 1, stop - t) for t in place.scored]
        assert place.canvas.start < start
        assert stop < place.canvas.stop
        assert len(place.canvas) == LONGEST
    assert sum(plan.shares.values()) == len(lost)


def test_what_is_near_comes_first_and_counts_most() -> None:
    plan = for_recreate(survey(whole(30, 31, 32)), MOST)
    away = [abs(place.hidden[0] - 30) for place in plan.places]
    assert sorted(away[:2]) == [4, 4]  # the nearest there are
    assert [place.weight for place in sorted(plan.places, key=lambda place: away[plan.places.index(place)])] == sorted(
        (place.weight for place in plan.places), reverse=True
    )


@pytest.mark.parametrize("end", [0, T - 3])
def test_a_gap_at_an_end_is_hidden_at_the_end_of_a_canvas(end: int) -> None:
    plan = for_recreate(survey(whole(*range(end, end + 3))), MOST)
    assert len(plan.places) >= 20
    for place in plan.places:
        if end:
            assert place.canvas.stop == place.hidden[-1] + 1
            assert list(place.distances) == list(range(1, len(place.scored) + 1))
        else:
            assert place.canvas.start == place.hidden[0]
            assert list(place.distances) == [place.hidden[-1] + 1 - t for t in place.scored]


def test_a_gap_without_room_is_tried_shorter_and_that_is_said() -> None:
    plan = for_recreate(survey(whole(*range(6, 14), count=20)), MOST)
    assert {len(place.hidden) for place in plan.places} == {
        4,
        9,
        10,
    }  # 9 and 10: with a frame or two beside it
    assert plan.notes == ["gaps of 8 frames do not fit anywhere else: other lengths are tried"]


def test_nothing_can_be_hidden_between_a_first_and_a_last_frame() -> None:
    assert for_recreate(survey(whole(1, 2, 3, count=5)), MOST).places == []
    assert for_recreate(survey(whole(1, count=2)), MOST).places == []


def runs(missing: np.ndarray) -> list[tuple[int, int]]:
    """Start and stop of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], missing.astype(int), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_holes_keep_how_long_they_last(share: float) -> None:
    observed = np.random.default_rng(0).random((T, 1, SIDE, SIDE)) >= share
    plan = for_recreate(survey(observed), 12)
    assert all(set(place.distances) == {PARTLY} for place in plan.places)
    for probe in probes_of(observed, plan.places):
        (part,) = probe.parts
        place, canvas = probe.place, probe.place.canvas
        assert place.pattern is not None
        known = observed[canvas.start : canvas.stop]
        moved = np.roll(~observed[place.pattern.start : place.pattern.stop], place.roll, axis=(2, 3))
        expected = np.zeros_like(known)
        for y in range(SIDE):
            for x in range(SIDE):
                for start, stop in runs(moved[:, 0, y, x]):
                    ends = [t for t in (start - 1, stop) if 0 <= t < len(canvas)]
                    if known[ends, 0, y, x].all():
                        expected[start:stop, 0, y, x] = True
        np.testing.assert_array_equal(part.clip.observed, known & ~expected)
        scored = expected & known
        scored[[t not in place.scored for t in canvas]] = False
        np.testing.assert_array_equal(part.scored, scored)
        assert part.scored.any()


def test_holes_that_move_stay_where_they_are_in_the_frame_and_others_do_not() -> None:
    observed = whole()
    observed[20:24, :, :4, :4] = False
    assert all(place.roll == (0, 0) for place in for_recreate(survey(observed), MOST).places)
    observed = whole()
    observed[:, :, :4, :4] = False
    places = for_recreate(survey(observed), MOST).places
    for probe in probes_of(observed, places):
        assert probe.place.roll != (0, 0)
        assert not probe.parts[0].scored[:, :, :4, :4].any()
        assert not distances(probe.parts[0].clip.observed)[probe.parts[0].scored].any()


def test_scattered_holes_and_lost_frames_are_both_tried() -> None:
    observed = whole(10, 11)
    observed[30:34, :, :5] = False
    plan = for_recreate(survey(observed), MOST)
    assert plan.shares == {PARTLY: 4.0, 1: 2.0}
    assert {place.pattern is None for place in plan.places[:2]} == {True, False}


def test_forecasts_see_nothing_that_comes_after_and_the_last_count_most() -> None:
    plan = for_forecast(survey(whole()), 6, 14, MOST)
    assert len(plan.places) >= 8
    assert list(plan.shares) == [1, 2, 3, 4, 5, 6]
    for place in plan.places:
        assert list(place.hidden) == list(place.scored) == list(range(place.hidden[0], place.canvas.stop))
        assert place.hidden[0] - place.canvas.start in range(7, 15)
        assert list(place.distances) == list(range(1, len(place.scored) + 1))
    weights = [place.weight for place in plan.places]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] > 2 * weights[-1]
    short = for_forecast(survey(whole(count=10)), 9, 11, MOST)
    assert max(len(place.scored) for place in short.places) == 5
    assert short.notes == ["only 5 of 9 lead times can be tried on 10 frames"]
    assert for_forecast(survey(whole(count=2)), 3, 14, MOST).places == []


def test_reconstruct_hides_one_frame_in_four_all_over_the_stream() -> None:
    plan = for_reconstruct(survey(whole(7)), LONGEST, MOST)
    scored = [t for place in plan.places for t in place.scored]
    assert sorted(scored) == [t for t in range(T) if t != 7]
    for place in plan.places:
        assert set(np.diff(place.hidden)) == {4}
        assert set(place.scored) <= set(place.hidden)


def test_a_probe_shows_the_canvas_less_what_is_hidden() -> None:
    observed = whole(30, 31)
    observed[:, :, 0, 0] = False
    found = survey(observed, known=observed)
    places = for_recreate(found, MOST).places
    made = gather(frames(observed), places, found)
    assert [probe.place for probe in made] == places
    for probe in made:
        (part,) = probe.parts
        for k, t in enumerate(probe.place.canvas):
            assert (part.clip.values[k, 0] == t).all()
            expected = observed[t] if t not in probe.place.hidden else np.zeros_like(observed[t])
            np.testing.assert_array_equal(part.clip.observed[k], expected)
            assert part.scored[k].any() == (t in probe.place.scored)
        assert not (part.scored & part.clip.observed).any()
        assert (distances(part.clip.observed)[part.scored] > 0).all()


def test_large_frames_are_tried_in_squares_whose_rims_do_not_count() -> None:
    observed = np.ones((8, 1, 600, 700), dtype=bool)
    observed[4] = False
    place = Place(range(1, 4), [2], [2], [1])
    (probe,) = probes_of(observed, [place])
    assert len(probe.parts) == 4
    for part in probe.parts:
        assert part.clip.values.shape == (3, 2, 256, 256)
        pixels = part.clip.values[1, 1].astype(int)
        top, left = divmod(int(pixels[0, 0]), 700)
        rows, columns = np.nonzero(part.scored[1, 0])
        assert (rows.min() == 0) == (top == 0)
        assert (columns.min() == 0) == (left == 0)
        assert rows.min() in (0, 16)
        assert columns.max() == (255 if left + 256 == 700 else 239)
        assert not part.scored[[0, 2]].any()


def test_no_more_frames_are_read_than_are_needed_and_few_are_held() -> None:
    observed = whole()
    read: list[weakref.ref[Frame]] = []
    held: list[int] = []

    def watched() -> Iterator[Frame]:
        for frame in frames(observed):
            read.append(weakref.ref(frame))
            yield frame
            held.append(sum(one() is not None for one in read))

    places = [Place(range(start, start + 4), [start + 1], [start + 1], [1]) for start in (3, 20, 9)]
    made = gather(watched(), places, survey(observed))
    assert [probe.place for probe in made] == places
    assert len(read) == 25
    assert max(held) <= 4 + 1
