"""python -m benchmarks.peers --problem small: other programs and ours on the same rows, in one run."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.peers import sampler
from benchmarks.peers.ours import OurFit
from benchmarks.peers.ours import run as run_ours
from benchmarks.peers.r_programs import Method, PeerFit, available, write_table
from benchmarks.peers.r_programs import run as run_peer
from benchmarks.problems import PROBLEMS, Network, Problem, draw_network

LARGE = Problem("large", rows=1_000_000, therapists=10_000, services=50, columns=20, seed=1)
CHOICES = {**PROBLEMS, "large": LARGE}
#: Ours may not be lower than a peer's by more than this; a peer may stop short of the maximum.
TOLERANCE = 1e-4
METHODS: dict[Method, str] = {
    "glmer": "lme4 glmer, nAGQ=1, bobyqa",
    "glmmTMB": "glmmTMB",
    "glmer_9": "lme4 glmer, nAGQ=9, therapists alone",
}
#: The sampler, beside engine "fast"; the others stand beside engine "ml".
NUTPIE = "nutpie"


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
    """Run, print the tables, and fail where an answer differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--problem", choices=CHOICES, default="small")
    parser.add_argument("--peers", nargs="*", choices=[*METHODS, NUTPIE], default=[*METHODS, NUTPIE])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    problem = CHOICES[chosen.problem]
    network = draw_network(problem)
    print(f"{problem.name}: {problem.size}, {problem.columns} columns", flush=True)
    methods = [method for method in METHODS if method in chosen.peers]
    wrong = beside_ml(network, methods, chosen.threads, chosen.rounds) if methods else []
    messages = [f"The log-likelihood is more than {TOLERANCE} below that of {name}." for name in wrong]
    if NUTPIE in chosen.peers:
        if not sampler.available():
            print("nutpie: not installed here with PyMC; make test-bayes makes an environment", flush=True)
        elif not sampler.compare(network, chosen.rounds, chosen.threads):
            messages.append("The posteriors of engine fast and nutpie differ by more than nutpie's noise.")
    for message in messages:
        print(message, file=sys.stderr)
    return 1 if messages else 0


def beside_ml(network: Network, methods: list[Method], threads: int, rounds: int) -> list[str]:
    """Time lme4 and glmmTMB beside engine "ml": whose log-likelihood ours falls short of."""
    ours = {
        (nodes, service): run_ours(network, nodes, service=service, threads=threads, rounds=rounds)
        for nodes, service in ((1, True), (9, True), (9, False))
    }
    for (nodes, service), fit in ours.items():
        print(
            f"engine ml, {nodes} nodes, {'crossed' if service else 'therapists alone'}, {threads} "
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
        for method in methods:
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
    return wrong


if __name__ == "__main__":
    sys.exit(main())
