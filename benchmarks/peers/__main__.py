"""python -m benchmarks.peers --problem small: other programs and engine "ml" on the same rows, in one run."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.peers.ours import OurFit
from benchmarks.peers.ours import run as run_ours
from benchmarks.peers.r_programs import Method, PeerFit, available, write_table
from benchmarks.peers.r_programs import run as run_peer
from benchmarks.problems import PROBLEMS, Problem, draw_network

LARGE = Problem("large", rows=1_000_000, therapists=10_000, services=50, columns=20, seed=1)
CHOICES = {**PROBLEMS, "large": LARGE}
#: Ours may not be lower than a peer's by more than this; a peer may stop short of the maximum.
TOLERANCE = 1e-4
METHODS: dict[Method, str] = {
    "glmer": "lme4 glmer, nAGQ=1, bobyqa",
    "glmmTMB": "glmmTMB",
    "glmer_9": "lme4 glmer, nAGQ=9, therapists alone",
}


def line(name: str, peer: PeerFit, ours: OurFit, same: bool) -> str:
    """One line of the table; processor times, since others may share the machine."""
    if same:
        gap = f"{ours.log_likelihood - peer.log_likelihood:+.1e}"
        shift = f"{np.abs((ours.beta - peer.beta) / peer.se).max():.0e}"
        spread = f"{np.nanmax(np.abs(ours.sd - peer.sd)):.0e}"
    else:
        gap = shift = spread = "another model"
    return (
        f"| {name} | {peer.cpu:.2f} | {ours.engine.cpu:.4f} | {peer.cpu / ours.engine.cpu:,.0f} | "
        f"{ours.fit.cpu:.4f} | {peer.cpu / ours.fit.cpu:,.0f} | "
        f"{ours.engine.wall / ours.yardstick:.1f} | {gap} | {shift} | {spread} |"
    )


HEAD = (
    "| peer | peer, s | engine, s | ratio | ter.fit, s | ratio | engine / X'WX | logLik, ours - theirs | "
    "largest beta shift, SE | largest SD shift |\n" + "| --- " * 10 + "|"
)


def main() -> int:
    """Run, print the table, and fail where an answer differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--problem", choices=CHOICES, default="small")
    parser.add_argument("--peers", nargs="*", choices=METHODS, default=list(METHODS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    problem = CHOICES[chosen.problem]
    network = draw_network(problem)
    print(f"{problem.name}: {problem.size}, {problem.columns} columns", flush=True)
    ours = {
        (nodes, service): run_ours(
            network, nodes, service=service, threads=chosen.threads, rounds=chosen.rounds
        )
        for nodes, service in ((1, True), (9, True), (9, False))
    }
    for (nodes, service), fit in ours.items():
        print(
            f"engine ml, {nodes} nodes, {'crossed' if service else 'therapists alone'}, {chosen.threads} "
            f"thread(s): engine {fit.engine.wall:.4f} s, ter.fit {fit.fit.wall:.4f} s, X'WX "
            f"{fit.yardstick:.4f} s, ratio {fit.engine.wall / fit.yardstick:.1f}, logLik "
            f"{fit.log_likelihood:.6f}, SDs {fit.sd.round(6)}",
            flush=True,
        )
    wrong = []
    print(HEAD, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.csv"
        write_table(network, table)
        for method in chosen.peers:
            if not available(method):
                print(f"{METHODS[method]}: not installed", flush=True)
                continue
            peer = run_peer(method, table)
            mine = ours[(9, False)] if method == "glmer_9" else ours[(1, True)]
            print(line(f"{METHODS[method]} ({peer.version})", peer, mine, same=True), flush=True)
            if method == "glmer_9":
                print(line("the same, ours crossed", peer, ours[(9, True)], same=False), flush=True)
            if not mine.log_likelihood > peer.log_likelihood - TOLERANCE:
                wrong.append(METHODS[method])
            elif mine.log_likelihood > peer.log_likelihood + TOLERANCE:
                print(f"{METHODS[method]} stopped short of the maximum.", flush=True)
    for name in wrong:
        print(f"The log-likelihood is more than {TOLERANCE} below that of {name}.", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
