import json
import re
import shutil
import subprocess
from pathlib import Path

import gymnasium
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from tests.helpers import call_here
from utils.agent.agent import Agent
from utils.agent.controllers import load_controller
from utils.dreams.filmed import record_median
from utils.run.folder import RunFolder


@pytest.fixture(scope="module")
def run(evolved):
    return evolved / "tiny"


@pytest.mark.parametrize("suffix", ["gif", "webp", "mp4"])
def test_a_film_has_the_right_number_of_frames(run, tmp_path, suffix):
    film, scores = tmp_path / f"film.{suffix}", tmp_path / "scores.json"
    done = call_here("render_agent.py", run, "--episodes", 2, "--steps", 31, "--film", film, "--json", scores)
    assert done.returncode == 0, done.stderr
    if suffix == "mp4":
        frames = imageio_ffmpeg.count_frames_and_secs(str(film))[0]
    else:
        with Image.open(film) as opened:
            frames = opened.n_frames
            assert opened.size == (816, 480)
    assert frames == 16  # every second of 31 steps
    report = json.loads(scores.read_text())
    assert report["gymnasium"] == gymnasium.__version__
    assert [episode["seed"] for episode in report["agent"]["episodes"]] == [1000, 1001]
    assert all(episode["steps"] == 31 for episode in report["agent"]["episodes"])
    values = [episode["score"] for episode in report["agent"]["episodes"]]
    assert report["agent"]["mean"] == pytest.approx(np.mean(values))
    assert f"film of track {1000 + int(np.argmax(values))}, 16 frames, score {max(values):.1f}" in done.stdout


def test_a_dream_beside_the_real_episode(run, tmp_path):
    film = tmp_path / "film.webp"
    done = call_here("render_agent.py", run, "--episodes", 1, "--steps", 31, "--film", film, "--beside")
    assert done.returncode == 0, done.stderr
    score = r"score -?[\d.]+ in the dream and -?[\d.]+ outside"
    assert re.search(rf"film of a dream beside track 1000, 16 frames, {score}", done.stdout)
    with Image.open(film) as opened:
        opened.seek(15)
        picture = np.asarray(opened.convert("RGB"), float)
    left, right = picture[26:426, :400], picture[26:426, 416:]
    assert abs(left - right).mean() > 3  # not the same picture twice


def test_the_filmed_dream_has_the_median_score_of_those_it_is_chosen_from(run):
    folder, seeds = RunFolder(run), list(range(5))
    config = folder.read_config()
    agent, (parameters, _) = Agent(config, folder), load_controller(config, folder)
    how = agent, folder, parameters, 1.0
    alone = {seed: record_median(*how, [seed], 21)[1] for seed in seeds}
    assert [len(frames) for frames in alone.values()] == [11] * 5
    scores = {seed: frames[-1].score for seed, frames in alone.items()}
    seed, frames = record_median(*how, seeds, 21)
    assert seed == sorted(scores, key=scores.get)[2]
    for frame, same in zip(frames, alone[seed], strict=True):  # so few steps are hardly rounded otherwise
        assert (frame.step, frame.score) == (same.step, pytest.approx(same.score, abs=1e-3))
        np.testing.assert_allclose(frame.action, same.action, atol=1e-3)


def test_scores_are_the_same_each_time_and_beside_a_random_policy(run, tmp_path):
    reports = []
    for name in ("first.json", "second.json"):
        done = call_here(
            "render_agent.py", run, "--episodes", 3, "--steps", 40, "--seed", 7, "--random", "--json", tmp_path / name
        )
        assert done.returncode == 0, done.stderr
        reports.append(json.loads((tmp_path / name).read_text()))
    assert reports[0] == reports[1]
    assert [episode["seed"] for episode in reports[0]["random"]["episodes"]] == [7, 8, 9]


def test_stock_and_window(run):
    done = call_here("render_agent.py", run, "--episodes", 1, "--steps", 10, "--stock")
    assert done.returncode == 0, done.stderr
    assert "agent on 1 tracks" in done.stdout
    done = call_here("render_agent.py", run, "--episodes", 2, "--steps", 20, "--window")  # SDL's dummy driver
    assert done.returncode == 0, done.stderr
    assert "track 1001" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["{run}", "--film", "film.avi"], ".webp"),
        (["{run}", "--episodes", "0"], "--episodes 0"),
        (["{run}/vae"], "is no run folder"),
        (["{run}", "--window", "--film", "film.gif"], "--window"),
        (["{run}", "--beside"], "it needs --film"),
    ],
)
def test_mistakes_are_a_line(run, arguments, expected):
    done: subprocess.CompletedProcess = call_here("render_agent.py", *(a.format(run=run) for a in arguments))
    assert done.returncode == 2
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_untrained_run_says_what_to_run(trained):
    done = call_here("render_agent.py", trained / "tiny")
    assert done.returncode == 2
    assert "05_train_controller.py" in done.stderr


def test_a_pickle_is_not_loaded_as_an_agent(run, tmp_path):
    copy = Path(shutil.copytree(run, tmp_path / "tiny"))
    np.savez(copy / "controller/best.npz", parameters=np.array([{}], dtype=object), generation=1)
    done = call_here("render_agent.py", copy)
    assert done.returncode == 2
    assert "best.npz is damaged or foreign" in done.stderr
