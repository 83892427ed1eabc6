"""Messages between the ranks of an evolution, through a real mpiexec."""

import time

from tests.helpers import run_ranks


def test_a_rank_that_waits_leaves_the_core_to_others():
    wait = (
        "import os, time; from utils.evolution.ranks import Ranks\n"
        "ranks = Ranks()\n"
        "if ranks.rank == 0:\n"
        "    time.sleep(3); ranks.send('done', 1)\n"
        "else:\n"
        "    began = time.process_time(); ranks.receive(); print(time.process_time() - began)\n"
    )
    done = run_ranks(2, wait)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.6  # of three seconds; a blocking receive takes all three


def test_an_error_in_a_rank_ends_all_and_names_it():
    fail = (
        "import time; from utils.evolution.ranks import Ranks\n"
        "ranks = Ranks()\n"
        "ranks.abort_on_error(lambda: 1 / 0 if ranks.rank == 1 else time.sleep(60))\n"
    )
    began = time.monotonic()
    done = run_ranks(3, fail)
    assert time.monotonic() - began < 15
    assert done.returncode != 0
    assert "rank 1: failed" in done.stderr
    assert "ZeroDivisionError" in done.stderr
