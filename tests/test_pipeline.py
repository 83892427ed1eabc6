"""The numbered scripts, run for real on the tiny configuration: to the end, with mistakes."""

import csv
import dataclasses
import json
import re
import shlex
import shutil
import time

import numpy as np
import pytest

from tests.helpers import TINY, step, step_here
from utils.data.collect import collect
from utils.run import config, episodes
from utils.run.episodes import Rollout, Series
from utils.run.folder import RunFolder
from utils.system import resources
from utils.system.errors import UsageError
from utils.system.progress import Progress

FIVE = "05_train_controller.py"


def log_rows(path) -> list[dict]:
    with open(path, newline="") as file:
        timed = ("per_second", "step_seconds")
        return [{name: value for name, value in row.items() if name not in timed} for row in csv.DictReader(file)]


def test_steps_leave_what_the_run_folder_promises(trained):
    run = trained / "tiny"
    for index in range(6):
        rollout = episodes.load(run / f"rollouts/episode_{index:05d}.npz", Rollout)
        series = episodes.load(run / f"series/episode_{index:05d}.npz", Series)
        assert rollout.obs.shape == (40, 64, 64, 3)
        assert series.mu.shape == series.logvar.shape == (40, 6)
        np.testing.assert_array_equal(rollout.action, series.action)
    with np.load(run / "series/starts.npz") as starts:
        assert starts["mu"].shape == starts["logvar"].shape == (6, 6)
        np.testing.assert_array_equal(starts["mu"][5], series.mu[0])
    vae, rnn = log_rows(run / "vae/log.csv"), log_rows(run / "rnn/log.csv")
    assert set(vae[0]) == {"step", "loss", "reconstruction", "kl", *(f"held_out_{n}" for n in ("reconstruction", "kl"))}
    assert {"nll", "reward", "held_out_nll", "held_out_reward"} < set(rnn[0])
    assert float(vae[-1]["held_out_reconstruction"]) < float(vae[0]["held_out_reconstruction"])
    assert (run / "vae/reconstructions.png").stat().st_size > 1000
    for name in ("vae", "rnn"):
        assert list((run / name / "tensorboard").glob("events*"))
    assert not list(run.rglob(".[0-9]*"))


def test_a_finished_step_does_nothing_and_says_so(copy_of_trained):
    runs = copy_of_trained()
    before = {path: path.stat().st_mtime_ns for path in (*runs.rglob("*.npz"), runs / "tiny/timings.json")}
    for script in ("01_generate_data.py", "02_train_vae.py", "03_generate_rnn_data.py", "04_train_rnn.py"):
        done = step_here(script, runs)
        assert done.returncode == 0, done.stderr
        assert "nothing to do" in done.stdout
    after = {path: path.stat().st_mtime_ns for path in before}
    changed = [path.name for path in before if before[path] != after[path]]
    assert changed in ([], ["starts.npz"])


def test_step_3_plays_more_episodes_for_m(copy_of_trained):
    runs = copy_of_trained()
    run = runs / "tiny"
    more = ("parallel_processes=1", "max_trials=6", "encoded_trials=4")  # one process loads TensorFlow, not two
    assert "10 episodes, 400 frames" in step_here("03_generate_rnn_data.py", runs, *more).stdout
    played = sorted(run.glob("series/played_*.npz"))
    encoded = episodes.load(run / "series/episode_00000.npz", Series)
    series = [episodes.load(path, Series) for path in played]
    assert [one.mu.shape for one in series] == [(40, 6)] * 4
    assert len({one.action.tobytes() for one in [*series, encoded]}) == 5  # other tracks, other drivers
    with np.load(run / "series/starts.npz") as starts:
        assert starts["mu"].shape == (10, 6)
        np.testing.assert_array_equal(starts["mu"][6], series[0].mu[0])

    played[1].unlink()  # as after a kill
    assert step_here("03_generate_rnn_data.py", runs, *more).returncode == 0
    again = episodes.load(played[1], Series)
    np.testing.assert_array_equal(again.mu, series[1].mu)
    np.testing.assert_array_equal(again.action, series[1].action)

    done = step_here("04_train_rnn.py", runs, *more, "rnn_num_steps=14")
    assert (done.returncode, "was made from other series" in done.stderr) == (2, True)
    shutil.rmtree(run / "rnn")
    assert step_here("04_train_rnn.py", runs, *more).returncode == 0
    assert not (run / "rollouts/episode_00006.npz").exists()


def test_what_a_user_has_set_for_other_projects_changes_nothing(copy_of_trained, trained, tmp_path, monkeypatch):
    """And what is printed can be pasted, whatever the folder is called."""
    runs = copy_of_trained("it's a folder")
    home = tmp_path / "home"
    (home / ".keras").mkdir(parents=True)
    theirs = {"backend": "jax", "floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.1}
    (home / ".keras/keras.json").write_text(json.dumps(theirs))
    (home / "matplotlibrc").write_text("axes.facecolor: red\nfigure.figsize: 1, 1\n")
    for name, value in (
        ("HOME", home), ("KERAS_BACKEND", "jax"), ("MATPLOTLIBRC", home / "matplotlibrc"),
        ("MPLBACKEND", "module://matplotlib_inline.backend_inline"), ("KERAS_NNX_ENABLED", "true"),
        ("TF_ENABLE_ONEDNN_OPTS", "0"), ("ONEDNN_MAX_CPU_ISA", "SSE41"), ("KERAS_MAX_EPOCHS", "0"),
    ):  # fmt: skip
        monkeypatch.setenv(name, str(value))
    for script, network in (("02_train_vae.py", "vae"), ("04_train_rnn.py", "rnn")):
        shutil.rmtree(runs / "tiny" / network)
        done = step(script, runs)
        assert done.returncode == 0, done.stderr
        for name in (f"{network}.weights.h5", "reconstructions.png" if network == "vae" else "mixture.png"):
            assert (runs / "tiny" / network / name).read_bytes() == (trained / "tiny" / network / name).read_bytes()
    (shown,) = (line for line in done.stdout.splitlines() if "to see it" in line)
    assert shlex.split(shown)[-1] == str(runs / "tiny")
    (following,) = (line for line in done.stdout.splitlines() if line.startswith("  next"))
    assert f"runs_folder={runs}" in shlex.split(following)


@pytest.mark.parametrize(
    ("script", "first"),
    [
        ("02_train_vae.py", "01_generate_data.py"),
        ("03_generate_rnn_data.py", "01_generate_data.py"),
        ("04_train_rnn.py", "01_generate_data.py"),
        ("05_train_controller.py", "01_generate_data.py"),
    ],
)
def test_a_missing_earlier_step_is_named(tmp_path, script, first):
    done = step_here(script, tmp_path)
    assert done.returncode == 2
    assert first in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_each_step_asks_for_the_one_before(copy_of_trained):
    runs = copy_of_trained()
    run = runs / "tiny"
    (run / "rnn/rnn.weights.h5").unlink()
    assert "04_train_rnn.py" in step_here("05_train_controller.py", runs).stderr
    (run / "series/starts.npz").unlink()
    assert "03_generate_rnn_data.py" in step_here("04_train_rnn.py", runs).stderr
    (run / "vae/vae.weights.h5").unlink()
    assert "02_train_vae.py" in step_here("03_generate_rnn_data.py", runs).stderr
    (run / "rollouts/episode_00002.npz").unlink()
    done = step_here("02_train_vae.py", runs)
    assert "5 of 6 episodes" in done.stderr
    assert "01_generate_data.py" in done.stderr
    assert done.returncode == 2


def test_a_run_made_with_other_settings_is_refused(trained):
    done = step_here("02_train_vae.py", trained, "z_size=7")
    assert done.returncode == 2
    assert "z_size" in done.stderr
    assert "6" in done.stderr
    assert "7" in done.stderr


def test_the_stored_configuration_is_what_each_step_was_run_with(copy_of_trained):
    runs = copy_of_trained()
    path = runs / "tiny/config.yaml"
    assert step_here("04_train_rnn.py", runs, "rnn_num_steps=14", "controller_sigma_init=0.2").returncode == 0
    assert config.load(path).rnn_num_steps == 14
    assert config.load(path).controller_sigma_init == 0.2  # step 5 has not begun: free to change
    assert step_here("03_generate_rnn_data.py", runs, "controller_sigma_init=0.3").returncode == 0
    assert config.load(path).rnn_num_steps == 14
    assert config.load(path).controller_sigma_init == 0.3


def test_a_truncated_rollout_is_named_not_trained_on_and_made_again(copy_of_trained):
    runs = copy_of_trained()
    path = runs / "tiny/rollouts/episode_00003.npz"
    whole = episodes.load(path, Rollout)
    path.write_bytes(path.read_bytes()[:100_000])
    done = step_here("02_train_vae.py", runs, "vae_num_epoch=3")
    assert done.returncode == 2
    assert "episode_00003.npz" in done.stderr
    assert step_here("01_generate_data.py", runs).returncode == 0
    np.testing.assert_array_equal(episodes.load(path, Rollout).obs, whole.obs)


def test_weights_and_data_that_changed_since_are_noticed(copy_of_trained):
    runs = copy_of_trained()
    assert step_here("02_train_vae.py", runs, "vae_num_epoch=3").returncode == 0
    for script, folder in (("03_generate_rnn_data.py", "series"), ("04_train_rnn.py", "series"), (FIVE, "rnn")):
        done = step_here(script, runs, "vae_num_epoch=3")
        assert done.returncode == 2
        assert f"{folder} was made from other" in done.stderr
    assert step_here("01_generate_data.py", runs, "max_trials=4").returncode == 0
    done = step_here("02_train_vae.py", runs, "max_trials=4", "vae_num_epoch=3")
    assert done.returncode == 2
    assert "vae was made from other rollouts" in done.stderr


def test_episodes_that_do_not_fit_the_run_are_named(copy_of_trained):
    runs = copy_of_trained()
    path = runs / "tiny/rollouts/episode_00003.npz"
    whole = episodes.load(path, Rollout)
    (runs / "tiny/series/episode_00003.npz").unlink()
    for script, change, expected in (
        ("02_train_vae.py", {"obs": np.zeros((40, 96, 96, 3), np.uint8)}, "(40, 96, 96, 3) where this run has uint8"),
        ("02_train_vae.py", {"reward": np.full(40, np.nan, np.float32)}, "reward holds numbers that are not finite"),
        ("03_generate_rnn_data.py", {"action": np.zeros((40, 2), np.float32)}, "this run has float32 (T, 3)"),
    ):
        episodes.save(path, dataclasses.replace(whole, **change))
        done = step_here(script, runs, "vae_num_epoch=3" if script.startswith("02") else "vae_num_epoch=2")
        assert done.returncode == 2
        assert f"{path}: " in done.stderr
        assert expected in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_disk_that_is_too_small_is_named_after_the_first_episodes(tmp_path, monkeypatch):
    settings = config.load(TINY, [f"runs_folder={tmp_path}", "parallel_processes=1", "max_trials=4000"])
    folder = RunFolder(tmp_path / "tiny")
    room = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(resources.shutil, "disk_usage", lambda path: room._replace(free=int(1.5e9)))
    with pytest.raises(UsageError, match=r"1\.5 GB free, 2\.0 GB needed: fewer max_trials, or another runs_folder"):
        collect(settings, folder, Progress("rollouts", "episodes"))
    assert 8 <= len(list(folder.rollouts.glob("episode_*.npz"))) < 100


def test_what_takes_long_says_so_once(capsys):
    progress = Progress("V", "images")
    progress.FIRST_SECONDS = 0.05
    progress.start(10_000_000)
    for _ in range(4):
        time.sleep(0.03)
        progress.advance(100)
    progress.close()
    said = capsys.readouterr().out
    assert said.count("left at the rate of the first seconds") == 1
    assert re.search(r"V: about \d+ min \d\d s left|V: about \d+ h \d\d min left", said)


def test_the_first_of_many_at_once_say_nothing_of_the_rate(capsys):
    progress = Progress("agent", "episodes")
    progress.QUIET_INTERVAL = 0.0
    progress.start(5, at_once=3)
    for _ in range(5):
        progress.advance()
    lines = capsys.readouterr().out.splitlines()
    assert ["no estimate yet" in line for line in lines] == [True, True, False, False, False]


def test_foreign_weights_are_named(copy_of_trained):
    runs = copy_of_trained()
    (runs / "tiny/rnn/rnn.weights.h5").write_bytes(b"not weights")
    done = step_here("05_train_controller.py", runs)
    assert done.returncode == 2
    assert "rnn.weights.h5" in done.stderr
