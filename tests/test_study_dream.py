"""study_dream.py as a program, on runs and on shipped agents."""

import csv
import json
import re

import numpy as np
import pytest

from tests.helpers import call_here
from utils.dreams import baselines, recorded, temperatures, variants
from utils.run import episodes
from utils.run.export import ship
from utils.run.folder import RunFolder
from utils.system.errors import UsageError


def made_longer(run, times=3):
    """Episodes of the tiny run are shorter than a window: repeats each."""
    for path in [*run.glob("rollouts/episode_*.npz"), *run.glob("series/episode_*.npz")]:
        with np.load(path) as file:
            arrays = {name: np.concatenate([file[name]] * times) for name in file}
        np.savez(path, **arrays)


def test_a_run_is_studied_beside_baselines_and_a_shipped_agent_without(copy_of_trained, evolved, tmp_path):
    run = copy_of_trained() / "tiny"
    made_longer(run)
    done = call_here("study_dream.py", "quality", str(run))
    assert done.returncode == 0, done.stderr
    assert "persistence regression last mu" in done.stdout
    assert "fitted on 5 training episodes" in done.stdout
    with open(run / "dream" / "quality.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["steps"] for row in rows] == ["1", "5", "15", "50"]
    beside = [f"{measure}_{name}" for measure in ("nll", "rmse") for name in baselines.NAMES]
    assert all(np.isfinite(float(row[name])) for row in rows for name in ("nll", "rmse", "rmse_perfect", *beside))
    loaded = RunFolder(run)
    config = loaded.read_config()
    training = recorded.training_paths(config, loaded)
    assert training == episodes.split(loaded.series_paths(config), config.held_out_fraction)[0]

    shipped = tmp_path / "shipped"
    ship(RunFolder(evolved / "tiny"), RunFolder(shipped))
    refused = call_here("study_dream.py", "quality", str(shipped))
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert not (shipped / "dream").exists()
    advised = re.search(r"`python (study_dream.py quality \S+ --driven) 20`", refused.stderr).group(1)
    settings = (shipped / "config.yaml").read_text()
    (shipped / "config.yaml").write_text(settings.replace("max_frames: 40", "max_frames: 90", 1))
    done = call_here(*advised.split(), "2")
    assert done.returncode == 0, done.stderr
    assert "has no episodes to fit the baselines on" in done.stdout
    with open(shipped / "dream" / "driven.csv", newline="") as file:
        header = next(csv.reader(file))
    assert "signal_acted" in header
    assert not set(beside) & set(header)


def test_a_dream_of_another_v_is_not_held_against_reality(copy_of_trained):
    run = copy_of_trained() / "tiny"
    source = json.loads((run / "rnn" / "source.json").read_text())
    (run / "rnn" / "source.json").write_text(json.dumps(source | {"source": "of another V"}))
    refused = call_here("study_dream.py", "quality", str(run))
    assert refused.returncode == 2
    assert f"{run / 'rnn'} was made from other series than the run has now; delete it" in refused.stderr


def test_a_sweep_trains_in_the_dream_of_a_temperature_and_writes_the_table(copy_of_trained):
    run = copy_of_trained() / "tiny"
    for wrong, said in (
        ("no_such_key=1", "no_such_key: unknown key"),
        ("controller_patience=9", "controller_patience: dreams have none"),
        ("z_size=9", "z_size=9: settings of step 5 are compared"),
    ):
        with pytest.raises(UsageError, match=said):
            variants.check_settings([wrong])
            variants.check(RunFolder(run), [variants.variant(RunFolder(run), "at_2", [wrong], 0)])
    refused = call_here("study_dream.py", "temperatures", str(run), "--train", wrong)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert said in refused.stderr
    assert [path.name for path in run.parent.iterdir()] == ["tiny"]
    assert not (run / "dream").exists()
    asked = ("--train", "--episodes", "2", "--workers", "0", "--temperatures", "2", "controller_num_generation=1")
    done = call_here("study_dream.py", "temperatures", str(run), *asked)
    assert done.returncode == 0, done.stderr
    with open(run / "dream" / "temperatures.csv", newline="") as file:
        row, random = csv.DictReader(file)
    assert (run / "dream" / "temperatures.png").stat().st_size > 10000
    assert (random["temperature"], random["dream_mean"], random["controller"]) == ("", "", "random actions")
    beside = RunFolder(run.with_name("tiny_at_2"))
    assert beside.read_config().controller_temperature == 2
    cold, hot = temperatures.evaluate_run(beside, [0.5, 2.0], 2)
    assert {name: str(value) for name, value in hot.items()} == row
    assert cold["dream_mean"] != hot["dream_mean"]
    assert cold["real_mean"] == hot["real_mean"]


def test_settings_of_the_dream_are_compared_on_one_v_and_m(copy_of_trained):
    run = copy_of_trained() / "tiny"
    refused = call_here("study_dream.py", "settings", str(run), "controller_num_rnn=2")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "controller_num_rnn" in refused.stderr
    assert [path.name for path in run.parent.iterdir()] == ["tiny"]
    change = "controller_dream_start=anywhere controller_temperature=1.5 controller_dream_dropout=0.2"
    done = call_here("study_dream.py", "settings", str(run), change, "--episodes", "2", "--workers", "0")
    assert done.returncode == 0, done.stderr
    with open(run / "dream" / "settings.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["settings"] for row in rows] == ["as they are", change]
    assert [row["temperature"] for row in rows] == ["1.0", "1.5"]
    assert len({row["dream_mean"] for row in rows}) == 2
    assert (run / "dream" / "settings.png").stat().st_size > 10000
    hot = RunFolder(run.with_name("tiny_with_dream_start_anywhere_temperature_1.5_dream_dropout_0.2"))
    assert hot.read_config().controller_dream_dropout == 0.2
