import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, call

from utils.agent import Agent
from utils.agent_file import load_parameters, load_unchosen
from utils.errors import UsageError
from utils.run_folder import RunFolder
from utils.shipping import ship


def test_a_shipped_agent_acts_as_it_did_and_takes_half_the_place(evolved, tmp_path):
    run, target = RunFolder(evolved / "tiny"), RunFolder(tmp_path / "shipped")
    ship(run, target)
    before, after = Agent(run.read_config(), run), Agent(target.read_config(), target)
    for theirs, ours in ((before.vae.vae, after.vae.vae), (before.rnn, after.rnn)):
        for weight, rounded in zip(theirs.get_weights(), ours.get_weights(), strict=True):
            np.testing.assert_array_equal(np.float32(np.float16(weight)), rounded)
            assert weight.dtype == rounded.dtype
    assert target.vae_weights.stat().st_size < 0.6 * run.vae_weights.stat().st_size
    np.testing.assert_array_equal(
        load_parameters(target, after.num_parameters)[0], load_parameters(run, before.num_parameters)[0]
    )
    config, parameters = target.read_config(), after.num_parameters
    np.testing.assert_array_equal(
        load_unchosen(config, target, parameters)[0], load_unchosen(config, run, parameters)[0]
    )
    for more in ((), ("--dream",)):
        done = call("render_agent.py", str(target.path), "--episodes", "2", "--steps", "20", *more)
        assert done.returncode == 0, done.stderr
        assert "agent on 2" in done.stdout


def test_nothing_is_shipped_over_what_is_there_or_without_a_controller(trained, evolved, tmp_path):
    ship_it = [sys.executable, "-m", "utils.shipping"]
    refused = subprocess.run([*ship_it, evolved / "tiny", tmp_path], cwd=ROOT, capture_output=True, text=True)
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
