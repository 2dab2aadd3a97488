"""The share of a run's wall time that advances its model, if failures come at random: a simulation of a month.

    python bench/training_time_ratio.py
    python bench/training_time_ratio.py --held-up 2 --takes 30 --recovery 120 --hours 1

Each save holds training up, and is committed some time later; a failure costs what came after the newest
commit, and the time to train again. The defaults are the quickstart's save (`bench/save_stall.py`) and the slowest
recovery that we accept for a lost node. The middle row is the interval that training derives from them.
"""

import argparse
import random

from hdna.train.save_interval import best_interval_s

MONTH_S = 30 * 24 * 3600.0


def simulated_ratio(interval_s: float, held_up_s: float, takes_s: float, recovery_s: float, mtbf_s: float) -> float:
    """Seconds of training that no failure undid, of a month."""
    rng = random.Random(2222)
    clock = trained = 0.0
    while clock < MONTH_S:
        alive = rng.expovariate(1 / mtbf_s)
        clock += recovery_s + alive
        period = interval_s + held_up_s
        # The n-th save begins to be written at n periods; it counts if it is committed before the failure.
        committed = max(0, int((alive - takes_s) // period))
        trained += committed * interval_s
    return trained / clock


def main() -> None:
    """Print a row for each interval."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-up", type=float, default=0.01, help="seconds that a save holds training up")
    parser.add_argument("--takes", type=float, default=0.4, help="seconds until it is committed, behind training")
    parser.add_argument("--recovery", type=float, default=45.0, help="seconds from a failure to training again")
    parser.add_argument("--hours", type=float, default=3.0, help="mean time between failures of the run")
    args = parser.parse_args()
    derived = best_interval_s(args.held_up, args.takes)
    print(f"{'interval s':>12} {'share of the time that advanced the model':>44}")
    for factor in (1 / 16, 1 / 4, 1, 4, 16):
        ratio = simulated_ratio(factor * derived, args.held_up, args.takes, args.recovery, args.hours * 3600)
        print(f"{factor * derived:12,.0f} {ratio:44.2%}{'  <- derived' if factor == 1 else ''}")


if __name__ == "__main__":
    main()
