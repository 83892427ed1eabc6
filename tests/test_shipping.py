import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import TINY, call_here
from utils.agent.agent import Agent
from utils.agent.controllers import load_checked_controller, load_controller
from utils.data.collect import collect
from utils.data.encode import encode_rollouts
from utils.run import config as configuration
from utils.run import provenance
from utils.run.export import ship
from utils.run.folder import RunFolder, opened
from utils.run.lineage import previous
from utils.run.steps import Step
from utils.system.errors import UsageError
from utils.system.progress import Progress
from utils.training.train_rnn import train_rnn
from utils.training.train_vae import train_vae


def test_a_shipped_agent_acts_as_it_did_and_takes_half_the_place(evolved, tmp_path):
    run, target = RunFolder(evolved / "tiny"), RunFolder(tmp_path / "shipped")
    ship(run, target)
    before, after = Agent(run.read_config(), run), Agent(target.read_config(), target)
    for theirs, ours in ((before.vae.vae, after.vae.vae), (before.rnn, after.rnn)):
        for weight, rounded in zip(theirs.get_weights(), ours.get_weights(), strict=True):
            np.testing.assert_array_equal(np.float32(np.float16(weight)), rounded)
            assert weight.dtype == rounded.dtype
    assert target.vae_weights.stat().st_size < 0.6 * run.vae_weights.stat().st_size
    np.testing.assert_array_equal(load_controller(after.config, target)[0], load_controller(before.config, run)[0])
    np.testing.assert_array_equal(
        load_checked_controller(after.config, target)[0], load_checked_controller(before.config, run)[0]
    )
    for more in ((), ("--dream",)):
        done = call_here("render_agent.py", str(target.path), "--episodes", "2", "--steps", "20", *more)
        assert done.returncode == 0, done.stderr
        assert "agent on 2" in done.stdout


def test_a_shipped_agent_is_there_to_be_built_upon(evolved, tmp_path):
    """A new controller for its V and M, and a run that goes on from it with V and M as they are."""
    shipped = RunFolder(tmp_path / "shipped")
    ship(RunFolder(evolved / "tiny"), shipped)
    config = shipped.path / "config.yaml"
    assert config.read_text().startswith("# Made as tiny, previous_run: None")
    best = (shipped.controller / "best.npz").read_bytes()
    for script, expected in (
        ("02_train_vae.py", "came without its training state"),
        ("03_generate_rnn_data.py", "is a shipped agent, without the episodes and training states"),
        ("04_train_rnn.py", "came without its training state"),
        ("05_train_controller.py", "holds a controller without the state to go on from"),
    ):
        refused = call_here(script, "--config", str(config))
        assert refused.returncode == 2
        assert expected in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert (shipped.controller / "best.npz").read_bytes() == best
    copy = RunFolder(Path(shutil.copytree(shipped.path, tmp_path / "dream")))
    shutil.rmtree(copy.controller)
    settings = (f"runs_folder={tmp_path}", "exp_name=dream", "controller_environment=dream")
    refused = call_here(
        "05_train_controller.py", "--config", str(copy.path / "config.yaml"), *settings,
        "controller_dream_start=anywhere",
    )  # fmt: skip
    assert refused.returncode == 2
    assert "is a shipped agent, without the episodes" in refused.stderr
    one = ("controller_dream_start=first", "controller_num_generation=1", "--workers", "0")
    done = call_here("05_train_controller.py", "--config", str(copy.path / "config.yaml"), *settings, *one)
    assert done.returncode == 0, done.stderr
    assert "the last mean of the population, " in done.stdout
    assert "in 2 real episodes, which select nothing" in done.stdout

    goes_on = [f"runs_folder={tmp_path}", "exp_name=further", f"previous_run={shipped.path}"]
    taken_over = configuration.load(TINY, [*goes_on, "vae_num_epoch=0", "rnn_num_steps=0"])
    with pytest.raises(UsageError, match="vae_num_epoch: 0 takes over what previous_run has trained"):
        provenance.check(configuration.load(TINY, ["vae_num_epoch=0"]), shipped, Step.ROLLOUTS)
    provenance.check(configuration.load(TINY, ["rnn_num_steps=0", "rnn_start=random"]), shipped, Step.ROLLOUTS)
    hidden = Progress("", "")
    for number, work in zip(Step, (collect, train_vae, encode_rollouts, train_rnn)):
        with opened(taken_over, number) as run:
            provenance.check(taken_over, run, number)
            work(taken_over, run, hidden)
    for theirs, ours in ((shipped.vae_weights, run.vae_weights), (shipped.rnn_weights, run.rnn_weights)):
        assert theirs.read_bytes() == ours.read_bytes()
    assert shipped.log(Step.VAE) == run.log(Step.VAE)
    for picture in ("vae/reconstructions.png", "rnn/mixture.png"):
        assert (run.path / picture).stat().st_size > 1000
    with opened(taken_over, Step.CONTROLLER) as run:
        provenance.check(taken_over, run, Step.CONTROLLER)
    # Trained on afterwards: from the same V, and no longer the same.
    longer = configuration.load(TINY, [*goes_on, "vae_num_epoch=1", "rnn_num_steps=0"])
    with opened(longer, Step.VAE) as run:
        train_vae(longer, run, hidden)
    assert shipped.vae_weights.read_bytes() != run.vae_weights.read_bytes()
    with pytest.raises(UsageError, match="has the name of this run"):
        previous(configuration.load(TINY, [f"previous_run={shipped.path}", "exp_name=shipped"]))


def test_nothing_is_shipped_over_what_is_there_or_without_a_controller(trained, evolved, tmp_path):
    refused = call_here("utils.run.export", evolved / "tiny", tmp_path)
    assert refused.returncode == 2
    assert f"{tmp_path} is there already" in refused.stderr
    with pytest.raises(UsageError, match=r"run `python 05_train_controller.py --config .*tiny/config.yaml` first"):
        ship(RunFolder(trained / "tiny"), RunFolder(tmp_path / "nothing"))
    assert not (tmp_path / "nothing").exists()
    unfinished = tmp_path / "unfinished"
    shutil.copytree(evolved / "tiny", unfinished)
    (unfinished / "controller/learning_curve.png").unlink()
    with pytest.raises(UsageError, match=r"learning_curve.png is missing: .*run `python 05_train_controller.py"):
        ship(RunFolder(unfinished), RunFolder(tmp_path / "nothing"))
    with pytest.raises(UsageError, match="my agent: FOLDER becomes a run: letters"):
        ship(RunFolder(evolved / "tiny"), RunFolder(tmp_path / "my agent"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["unfinished"]
