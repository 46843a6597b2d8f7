"""How many clips are held, how long, and where they go; no worker is needed for it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from frame_forecast.viewer import clips as module
from frame_forecast.viewer.clips import UNUSED_SECONDS, Clips, Kept
from frame_forecast.viewer.refusal import Refusal


class Clock:
    """Stands in for `time`."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def add(clips: Clips, size: int = 10, **more: Any) -> Kept:
    with clips.new_folder() as folder:
        (folder / "values").write_bytes(bytes(size))
        return clips.add(folder, {"name": "a clip"}, **more)


def here(clips: Clips, kept: Kept) -> bool:
    """Without using it."""
    return kept.id in clips._kept and kept.folder.is_dir()


def test_ids_cannot_be_guessed(tmp_path: Path) -> None:
    clips = Clips(tmp_path, 100, 10**6)
    ids = {add(clips).id for _ in range(50)}
    assert len(ids) == 50
    assert min(map(len, ids)) >= 20


def test_a_folder_of_what_did_not_come_is_gone(tmp_path: Path) -> None:
    clips = Clips(tmp_path, 100, 10**6)
    with clips.new_folder() as folder:
        (folder / "upload").write_bytes(b"x")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_used_goes_after_an_hour(tmp_path: Path, clock: Clock) -> None:
    clips = Clips(tmp_path, 100, 10**6)
    opened, used, unused, needed = add(clips, opened=True), add(clips), add(clips), add(clips)
    with clips.using(needed.id):
        clock.now += UNUSED_SECONDS - 1
        clips.get(used.id)
        clips.expire()
        assert here(clips, unused)
        clock.now += 2
        clips.expire()
        assert [here(clips, one) for one in (opened, used, unused, needed)] == [True, True, False, True]
    with pytest.raises(Refusal, match="not here"):
        clips.get(unused.id)
    clock.now += UNUSED_SECONDS + 1
    clips.expire()
    assert [path.name for path in tmp_path.iterdir()] == [opened.id]


def test_the_longest_unused_makes_room(tmp_path: Path, clock: Clock) -> None:
    clips = Clips(tmp_path, 3, 10**6)
    first, second, third = (add(clips) for _ in range(3))
    clock.now += 60
    clips.get(first.id)
    clock.now += 60
    fourth = add(clips)
    assert [here(clips, one) for one in (first, second, third, fourth)].count(True) == 3
    assert here(clips, first)
    assert here(clips, fourth)


def test_too_many_in_use_are_refused(tmp_path: Path, clock: Clock) -> None:
    clips = Clips(tmp_path, 2, 10**6)
    held = [add(clips), add(clips, opened=True)]
    with pytest.raises(Refusal) as raised:
        add(clips)
    assert raised.value.status == 507
    clock.now += 60
    with clips.using(held[0].id), pytest.raises(Refusal):
        add(clips)
    assert all(here(clips, one) for one in held)


def test_bytes_are_counted_with_those_that_arrive(tmp_path: Path, clock: Clock) -> None:
    clips = Clips(tmp_path, 100, 100)
    old = add(clips, 60)
    clips.arrive(30)
    with pytest.raises(Refusal):
        clips.arrive(30)
    clock.now += 60
    clips.arrive(30)
    assert not here(clips, old)
    with pytest.raises(Refusal):
        clips.arrive(60)
    clips.arrive(-60)
    clips.arrive(90)


def test_downloads_are_made_once_and_counted(tmp_path: Path, clock: Clock) -> None:
    class Worker:
        asked = 0

        async def ask(self, _: str, folder: Path, name: str, suffix: str, **__: object) -> int:
            self.asked += 1
            return (folder / f"{name}{suffix}").write_bytes(bytes(50))

    clips, worker = Clips(tmp_path, 100, 200), Worker()
    kept = add(clips, 20)
    paths = [asyncio.run(clips.file(kept, ".npy", worker)) for _ in range(2)]  # pyright: ignore[reportArgumentType]
    assert paths[0] == paths[1]
    assert (worker.asked, kept.bytes) == (1, 70)
    clips.remove(kept.id)
    assert list(tmp_path.iterdir()) == []


def test_what_was_opened_stays(tmp_path: Path) -> None:
    clips = Clips(tmp_path, 100, 10**6)
    opened = add(clips, opened=True)
    with pytest.raises(Refusal) as raised:
        clips.remove(opened.id)
    assert raised.value.status == 403
    assert here(clips, opened)
