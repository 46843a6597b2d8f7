"""Reads mutated files until something other than a clear error comes of it:

python tests/fuzzing                       40 cases of every target
python tests/fuzzing --minutes 30          as many as there is time for
python tests/fuzzing png gif --cases 1000  of these targets
python tests/fuzzing png --case 17         one again, with all that is said of it
"""

import argparse
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # what all tests share
os.environ["OMP_NUM_THREADS"] = "1"  # whatever it is outside: no threads that a forked process would lack

import seeds
from judge import Outcome, case
from pool import run
from targets import TARGETS, Target

_SLICE_SECONDS = 20  # of a target, then of the next
_SHOWN = 2  # findings of one cause


@dataclass
class Tally:
    """What came of the cases so far.

    Args:
        keep: where the files of findings go.
    """

    keep: Path
    kinds: dict[str, Counter[str]] = field(default_factory=dict)
    causes: Counter[str] = field(default_factory=Counter)
    most_memory: int = 0

    def add(self, target: Target, number: int, trees: list[dict[str, bytes]], outcome: Outcome) -> None:
        self.kinds.setdefault(target.name, Counter())[outcome.kind] += 1
        self.most_memory = max(self.most_memory, outcome.growth)
        if outcome.kind != "finding":
            return
        self.causes[f"{target.name}: {outcome.what}"] += 1
        if self.causes[f"{target.name}: {outcome.what}"] <= _SHOWN:
            place = self.keep / f"{target.name}-{number}"
            seeds.put(case(target, number, trees), place)
            print(f"{target.name}, case {number}: {outcome.what}")
            print(f"  python tests/fuzzing {target.name} --case {number}  # its files: {place}", flush=True)

    def report(self) -> None:
        total: Counter[str] = Counter()
        for name, kinds in self.kinds.items():
            total += kinds
            print(f"{name:16}", *(f"{kinds[kind]:7} {kind}" for kind in ("read", "refused", "known", "finding")))
        print(f"{total.total()} cases of {len(self.kinds)} targets, {total['finding']} findings", end=" ")
        print(f"of {len(self.causes)} causes, {self.most_memory >> 20} MiB of memory for one case at most")
        for cause, count in self.causes.most_common():
            print(f"{count:6} {cause}")


def main() -> int:
    """As the command says; 1 if there are findings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}; none = all")
    parser.add_argument("--cases", type=int, default=40, help="of each target")
    parser.add_argument("--first", type=int, default=0, help="the number of the first")
    parser.add_argument("--minutes", type=float, help="go on for so long, each target in turn")
    parser.add_argument("--case", type=int, help="this one alone")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="where the files of findings go")
    given = parser.parse_args()
    if unknown := [name for name in given.targets if name not in TARGETS]:
        parser.error(f"no target {', '.join(unknown)}")
    chosen = [TARGETS[name] for name in given.targets or TARGETS]
    trees = {target.name: target.trees() for target in chosen}
    tally = Tally(given.keep)
    if given.case is not None:
        (target,) = chosen
        (outcome,) = (one for _, one in run(target, trees[target.name], range(given.case, given.case + 1)))
        print(outcome.kind, outcome.what, outcome.detail, f"{outcome.growth >> 20} MiB", sep="\n")
        return int(outcome.kind == "finding")
    until = time.monotonic() + 60 * (given.minutes or 0)
    first, cases = dict.fromkeys(trees, given.first), dict.fromkeys(trees, given.cases)
    while True:
        for target in chosen:
            begun, last = time.monotonic(), first[target.name] + cases[target.name]
            for number, outcome in run(target, trees[target.name], range(first[target.name], last)):
                tally.add(target, number, trees[target.name], outcome)
            seconds = (time.monotonic() - begun) / cases[target.name]
            first[target.name], cases[target.name] = last, 1 + int(_SLICE_SECONDS / seconds)
            if given.minutes is not None and time.monotonic() > until:
                break
        if time.monotonic() > until:
            break
    tally.report()
    return int(bool(tally.causes))


if __name__ == "__main__":
    sys.exit(main())
