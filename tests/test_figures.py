import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from models.dream import DreamModel
from models.mdn_rnn import MDNRNN
from models.vae import kl_per_dimension
from tests.helpers import ROOT, call, call_here, step, step_here
from utils.agent import evaluate
from utils.environments import get_spec
from utils.figures import memory
from utils.figures.catalogue import FIGURES
from utils.figures.inputs import FigureInputs
from utils.run.episodes import Series
from utils.run.export import ship
from utils.run.folder import RunFolder
from utils.run.steps import Step
from utils.system.progress import Progress, duration

# They need a run's settings alone.
DRAWINGS = {"architecture", "vae_layers", "rnn_layers", "mixture_outputs", "in_environment", "in_dream"}


def draw(*arguments):
    return call_here("utils.figures", *arguments)


def test_a_run_is_drawn_and_told_on_one_page(evolved, tmp_path):
    run = shutil.copytree(evolved / "tiny", tmp_path / "tiny")
    done = draw(run, "--episodes", "2")
    assert done.returncode == 0, done.stderr
    for name in FIGURES:
        with Image.open(run / "figures" / f"{name}.png") as picture:
            assert min(picture.size) > 200
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 10
    page = (run / "report.html").read_text()
    embedded = {base64.b64decode(data) for data in re.findall(r"data:image/png;base64,([^\"]+)", page)}
    assert {(run / "figures" / f"{name}.png").read_bytes() for name in FIGURES} <= embedded
    sections = re.findall(r'<h2 id="([^"]*)"', page)
    assert "2-v-learns-to-see" in sections
    numbers = [int(number) for number in re.findall(r"<b>Figure 12-(\d+)", page)]
    assert numbers[0] == 3  # the world model, above all steps
    assert numbers[1:] == sorted(numbers[1:])  # as in the chapter
    assert {*range(6, 14), 16, 17, 18} <= set(numbers)
    alternatives = re.findall(r'<img [^>]*alt="([^"]*)"', page)
    assert len(set(alternatives)) == len(alternatives) >= len(FIGURES)
    links = re.findall(r"(?:src|href)=\"(?!data:)([^\"]*)", page)
    assert links == [*(f"#{section}" for section in sections), "dream.html"]  # nothing from anywhere else
    assert "://" not in (run / "dream.html").read_text()
    assert "controller_num_generation" in page
    timings = json.loads((run / "timings.json").read_text())
    assert sorted(timings) == ["1", "2", "3", "4", "5"]
    assert duration(timings["5"]) in page


def test_of_an_unfinished_run_what_there_is_is_drawn(tmp_path):
    assert step_here("01_generate_data.py", tmp_path).returncode == 0
    done = draw(tmp_path / "tiny")
    assert done.returncode == 0, done.stderr
    assert {path.stem for path in (tmp_path / "tiny" / "figures").iterdir()} == DRAWINGS | {"frames"}
    assert "prior: not drawn:" in done.stdout
    assert "run `python 02_train_vae.py --config" in done.stdout
    assert "1. Random rollouts" in (tmp_path / "tiny" / "report.html").read_text()
    first = step_here("02_train_vae.py", tmp_path / "nowhere")
    assert first.returncode == 2
    command = re.search(r"run `(python 01_generate_data.py --config .*)` first", first.stderr).group(1)
    assert subprocess.run([sys.executable, *command.split()[1:]], cwd=ROOT).returncode == 0  # it is what was missing
    refused = draw(tmp_path / "tiny", "prior")
    assert refused.returncode == 2
    assert "run `python 02_train_vae.py --config" in refused.stderr


def test_each_figure_asks_for_what_it_shows_alone(evolved, tmp_path):
    run = shutil.copytree(evolved / "tiny", tmp_path / "tiny")
    for folder in ("series", "rnn", "controller"):
        shutil.rmtree(run / folder)
    done = draw(run)
    assert done.returncode == 0, done.stderr
    of_two_steps = {name for name, figure in FIGURES.items() if figure.step is not None and figure.step <= 2}
    assert {path.stem for path in (run / "figures").iterdir()} == of_two_steps | DRAWINGS | {"encoding"}

    shipped = tmp_path / "shipped"
    ship(RunFolder(evolved / "tiny"), RunFolder(shipped))
    done = draw(shipped, "--episodes", "2")
    assert done.returncode == 0, done.stderr
    # Nobody has what it learned from, and nothing of it is to be made again or deleted.
    assert done.stdout.count("is a shipped agent, without the episodes") == len(FIGURES) - len(DRAWINGS) - 9
    assert "evolution: not drawn: " in done.stdout
    assert "first" not in done.stdout
    assert "delete" not in done.stdout
    wants_no_rollouts = {
        "vae_losses", "rnn_losses", "prior", "learning_curve", "controller", "ways", "grid",
        "traversal",
    }  # fmt: skip
    assert {path.stem for path in (shipped / "figures").iterdir()} == wants_no_rollouts | DRAWINGS
    assert "5. C learns to act" in (shipped / "report.html").read_text()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("grid", ("--dimensions", "4", "2")),
        ("frames", ("--episode", "0")),
        ("mixture", ("--dimension", "5")),
        ("encoding", ("--start", "3")),
    ],
)
def test_options_say_what_is_drawn(trained, tmp_path, name, options):
    run = Path(shutil.copytree(trained / "tiny", tmp_path / "tiny"))
    pictures = []
    for given in ((), options, options):
        assert draw(run, name, *given).returncode == 0
        pictures.append((run / "figures" / f"{name}.png").read_bytes())
    assert pictures[0] != pictures[1] == pictures[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("priors",), "no such figure; there are architecture,"),
        (("mixture", "--dimension", "99"), "--dimension 99: 0 to 5 are there"),
        (("ways", "--episodes", "0"), "--episodes 0: at least 1 is needed"),
    ],
)
def test_what_cannot_be_drawn_is_said(trained, arguments, message):
    refused = draw(trained / "tiny", *arguments)
    assert refused.returncode == 2
    assert message in refused.stderr


def test_information_is_the_divergence_from_the_prior():
    mu, logvar = np.float32([[0.0, 1.5]]), np.float32([[0.0, -2.0]])
    x = np.linspace(-12, 12, 200001)
    ours, prior = stats.norm(1.5, np.exp(-1)), stats.norm
    expected = np.trapezoid(ours.pdf(x) * (ours.logpdf(x) - prior.logpdf(x)), x)
    np.testing.assert_allclose(kl_per_dimension(mu, logvar), [[0, expected]], atol=1e-5)


def test_dreams_start_where_the_episode_did_and_stop_at_their_end():
    rnn = MDNRNN(4, 1, 8, 2, seed=0)
    series = Series(
        np.ones((9, 4), np.float32), np.full((9, 4), -40, np.float32), np.zeros((9, 1), np.float32),
        np.zeros(9, np.float32), np.zeros(9, bool),
    )  # fmt: skip
    rnn.mdn.bias.assign(np.r_[rnn.mdn.bias.numpy()[:-1], -1e3])
    lived, scores = memory.dreams_from(DreamModel(rnn, "done"), series, 3, 8, 1.0)
    assert lived.shape == (3, 9, 4)
    np.testing.assert_array_equal(scores, np.tile(np.arange(9), (3, 1)))  # a step survived is a reward of 1
    np.testing.assert_allclose(lived[:, 0], 1, atol=1e-6)
    assert np.isfinite(lived).all()
    assert len(np.unique(lived[:, 8], axis=0)) == 3
    rnn.mdn.bias.assign(np.r_[rnn.mdn.bias.numpy()[:-1], 1e3])
    lived, scores = memory.dreams_from(DreamModel(rnn, "done"), series, 3, 8, 1.0)
    assert np.isfinite(lived[:, 0]).all()
    assert np.isnan(lived[:, 1:]).all()
    np.testing.assert_array_equal(scores[:, -1], 1)


def test_ways_are_where_the_car_was(evolved):
    subject = FigureInputs(RunFolder(evolved / "tiny"))
    jobs = evaluate.evaluation_jobs(1000, 3)
    outcomes, ways, lines = evaluate.trajectories(subject.agent, subject.controller[0], jobs, 30, Progress("", ""))
    for job, outcome, way, line in zip(jobs, outcomes, ways, lines):
        assert way.shape == (outcome.steps, 2)
        env = get_spec("WorldModels/CarRacing-v3").make()
        env.reset(seed=job.env_seed)
        assert np.linalg.norm(way[0] - env.unwrapped.car.hull.position) < 1
        assert np.abs(np.diff(way, axis=0)).max() < 3
        np.testing.assert_array_equal(line, np.array(env.unwrapped.track)[:, 2:])


def test_tensorboard_has_the_pictures(evolved):
    expected = {
        "vae": ("reconstructions", "traversal", "prior", "loss", "step_seconds"),
        "rnn": ("mixture", "dream", "loss", "step_seconds"),
        "controller": ("learning_curve", "weights", "sigma", "generation_seconds"),
    }
    for folder, names in expected.items():
        log = EventAccumulator(str(evolved / "tiny" / folder / "tensorboard"))
        log.Reload()
        assert {f"{folder}/{name}" for name in names} <= {*log.Tags()["scalars"], *log.Tags()["images"]}
    (picture,) = log.Images("controller/weights")
    assert picture.encoded_image_string == (evolved / "tiny/controller/weights.png").read_bytes()
    (sigma,) = log.Scalars("controller/sigma")
    (row,) = RunFolder(evolved / "tiny").log(Step.CONTROLLER)
    assert (sigma.step, sigma.value) == (1, pytest.approx(row["sigma"]))


def test_quiet_is_quiet_and_others_end_with_what_comes_next(tmp_path):
    quiet = step("01_generate_data.py", tmp_path, "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    again = step_here("01_generate_data.py", tmp_path)
    assert "next           python 02_train_vae.py --config" in again.stdout
    refused = step("03_generate_rnn_data.py", tmp_path, "--quiet")
    assert refused.returncode == 2
    assert "02_train_vae.py" in refused.stderr


def test_durations_in_words():
    assert [duration(s) for s in (0.4, 59.6, 3599, 3661)] == ["0 s", "1 min 00 s", "59 min 59 s", "1 h 01 min"]


def test_help_of_every_script_has_three_commands():
    for script in sorted(path.name for path in ROOT.glob("0*.py")):
        shown = call(script, "--help").stdout
        assert shown.count(f"python {script}") >= 3
        for word in ("reads", "writes", "--quiet"):
            assert word in shown
