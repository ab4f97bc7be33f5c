"""Workers of a Dask cluster that are killed at random moments, and how often what they did is done again."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest
from daskcluster import DaskCluster
from daskruns import lay_out, results, start, there
from equipment.sandbox import Sandbox

pytestmark = pytest.mark.xdist_group("dask")

KILLS, WORKERS, COUNT = 20, 3, 24
SENT = 3  # a manifest, its configuration and its own layer; what all have in common goes once more


def test_twenty_kills_lose_nothing_and_repeat_at_most_what_was_under_way(tmp_path: Path) -> None:
    dice = random.Random(20)
    # A unit may be under way at each of the kills: the scheduler must not take it for what kills its workers.
    patience = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(KILLS)}
    with (
        Sandbox() as registry,
        DaskCluster(tmp_path / "dask", env=patience) as cluster,
        cluster.crowd() as begin,
    ):
        digests = lay_out(tmp_path, registry, count=COUNT)
        alive = [begin(f"w{number}") for number in range(WORKERS)]
        with start(
            "work", "u.jsonl", "--results", "r.jsonl", "--on", f"dask://{cluster.address}", cwd=tmp_path
        ) as driver:
            seen = 0
            for number in range(KILLS):
                seen += dice.randint(2, 9)
                assert registry.traffic.wait_until(lambda traffic, least=seen: traffic.count() >= least)
                os.kill(alive.pop(dice.randrange(WORKERS)), signal.SIGKILL)
                alive.append(begin(f"x{number}"))
                seen = registry.traffic.count()
            _, said = driver.communicate(timeout=100)
        assert driver.returncode == 0, said
        assert there(registry) == digests
        assert said.count("is gone; it is done again") >= KILLS / 4  # others were just starting, or between two units
        done = results(tmp_path)
        assert len({one["key"] for one in done}) == len(done) == COUNT
        puts = registry.traffic.count(method="PUT", status=201)
        assert COUNT * SENT < puts <= COUNT * SENT + 1 + KILLS * SENT
        assert registry.traffic.count(method="PUT", path_pattern="/manifests/", status=201) <= COUNT + KILLS
