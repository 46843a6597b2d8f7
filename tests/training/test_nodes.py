"""Runs on two machines: network namespaces with addresses of their own and a link that can be cut."""

import json
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from joint import AFTER, TRAIN, Ended, begun, end, running
from test_several import assert_same_bits
from tiny_runs import checkpoint

TIMEOUT = 20


@dataclass(frozen=True)
class Node:
    """A machine: its namespace, which has a network interface of the same name."""

    name: str
    address: str


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def nodes() -> Iterator[list[Node]]:
    """Two machines and a cable between them."""
    made = [Node(f"ff{secrets.token_hex(3)}{side}", f"10.77.0.{side}") for side in (1, 2)]
    one, other = made
    try:
        try:
            for node in made:
                ip("netns", "add", node.name)
            ip("link", "add", one.name, "netns", one.name, "type", "veth", "peer", other.name, "netns", other.name)
            for node in made:
                ip("-n", node.name, "address", "add", f"{node.address}/24", "dev", node.name)
                ip("-n", node.name, "link", "set", node.name, "up")
                ip("-n", node.name, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"needs network namespaces: {getattr(error, 'stderr', None) or error}")
        yield made
    finally:
        for node in made:  # the cable goes with them
            subprocess.run(["ip", "netns", "delete", node.name], check=False, capture_output=True)


def link(node: Node, state: str) -> None:
    """Cuts a machine off, or joins it again."""
    ip("-n", node.name, "link", "set", node.name, state)


def train(
    nodes: list[Node],
    folder: Path,
    after: dict[str, object] | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> list[Ended]:
    """``frame-forecast train --resume`` on both machines; how each ended.

    Args:
        nodes: the machines.
        folder: of the run, which both see.
        after: as for `joint`.
        meanwhile: called once both have started.
    """
    commands = [
        [
            *["ip", "netns", "exec", node.name, "env", f"NODE_RANK={rank}", f"GLOO_SOCKET_IFNAME={node.name}"],
            *[*TRAIN, "--resume", str(folder), "--nodes", "2", "--timeout", str(TIMEOUT)],
        ]
        for rank, node in enumerate(nodes)
    ]
    environment = {"MASTER_ADDR": nodes[0].address, "MASTER_PORT": "29500", AFTER: json.dumps(after or {"rank": -1})}
    with running(*commands, **environment) as programs:
        meanwhile()
        return [end(program) for program in programs]


def assert_both_ended_well(ended: list[Ended]) -> None:
    assert [(one.code, one.err) for one in ended] == [(0, ""), (0, "")]
    assert [one.out.count("weights: ") for one in ended] == [1, 0]


def assert_says_how_to_go_on(ended: Ended, folder: Path) -> None:
    assert ended.code == 2, ended
    assert ended.err.startswith(f"frame-forecast: another process of {folder} has ended, or did not answer for 20 sec")
    assert f"`frame-forecast train --resume {folder}`" in ended.err
    assert ended.err.count("\n") == 1


def held(file: Path, act: Callable[[], None], then: Callable[[], None]) -> Callable[[], None]:
    """Acts while the first machine is held after a step by this file, lets it go on, and acts again."""

    def meanwhile() -> None:
        end = time.monotonic() + 200
        while not file.exists():
            assert time.monotonic() < end, "no step was reached"
            time.sleep(0.05)
        act()
        file.unlink()
        then()

    return meanwhile


def test_a_link_that_is_cut_for_a_moment_changes_nothing(nodes: list[Node], on_two: Path, tmp_path: Path) -> None:
    folder, file = begun(tmp_path / "run"), tmp_path / "held"

    def heal() -> None:
        time.sleep(2)  # the first machine sends its next gradients in vain meanwhile
        link(nodes[1], "up")

    cut = held(file, lambda: link(nodes[1], "down"), heal)
    assert_both_ended_well(train(nodes, folder, {"rank": 0, "step": 3, "file": str(file)}, cut))
    assert_same_bits(on_two, folder)


@pytest.mark.slow
def test_a_link_that_stays_cut_ends_both_and_costs_nothing(nodes: list[Node], on_two: Path, tmp_path: Path) -> None:
    folder, file = begun(tmp_path / "run"), tmp_path / "held"
    cut = held(file, lambda: link(nodes[1], "down"), lambda: None)
    for ended in train(nodes, folder, {"rank": 0, "step": 3, "file": str(file)}, cut):
        assert_says_how_to_go_on(ended, folder)
    assert checkpoint(folder)["global_step"] == 2
    link(nodes[1], "up")
    assert_both_ended_well(train(nodes, folder))
    assert_same_bits(on_two, folder)


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1])
def test_a_machine_that_is_lost_ends_the_other_and_costs_nothing(
    lost: int, nodes: list[Node], on_two: Path, tmp_path: Path
) -> None:
    folder = begun(tmp_path / "run")
    ended = train(nodes, folder, {"rank": lost, "step": 3, "signal": signal.SIGKILL})
    assert ended[lost].code == -signal.SIGKILL
    assert_says_how_to_go_on(ended[1 - lost], folder)
    assert_both_ended_well(train(nodes, folder))
    assert_same_bits(on_two, folder)


@pytest.mark.slow
def test_a_machine_that_does_not_come_ends_the_other(nodes: list[Node], tmp_path: Path) -> None:
    folder = begun(tmp_path / "run")
    [ended] = train(nodes[:1], folder)
    assert_says_how_to_go_on(ended, folder)
