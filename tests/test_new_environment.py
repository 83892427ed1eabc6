"""An environment from outside the package, that of docs/new-environment.md, from its first rollout to a score."""

import json
import os
import re

import pytest
import yaml

from tests.helpers import ROOT, TINY, call

STEPS = ("01_generate_data", "02_train_vae", "03_generate_rnn_data", "04_train_rnn", "05_train_controller")


@pytest.fixture
def outside(tmp_path) -> dict[str, str]:
    """The page's two blocks as files, small enough to be run; returns the environment to run scripts in."""
    page = (ROOT / "docs/new-environment.md").read_text()
    module, settings = (re.search(rf"```{kind}\n(.*?)```", page, re.DOTALL).group(1) for kind in ("python", "yaml"))
    package = tmp_path / "project/my_package"
    package.mkdir(parents=True)
    (package / "keep_middle.py").write_text(module)
    settings = yaml.safe_load(settings) | {"extends": str(TINY), "runs_folder": str(tmp_path / "runs")}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(settings))
    return os.environ | {"PYTHONPATH": str(package.parent)}


def test_it_needs_one_file_and_one_yaml(tmp_path, outside):
    for script in STEPS:
        done = call(f"{script}.py", "--config", tmp_path / "my.yaml", "controller_num_generation=1", env=outside)
        assert done.returncode == 0, done.stderr
    run, scores = tmp_path / "runs/keep_middle", tmp_path / "scores.json"
    done = call("render_agent.py", run, "--episodes", "2", "--random", "--json", scores, env=outside)
    assert done.returncode == 0, done.stderr
    assert "agent on 2 games" in done.stdout
    report = json.loads(scores.read_text())
    assert report["environment"] == "KeepMiddle-v0"
    assert all(0 < episode["score"] <= 50 for who in ("agent", "random") for episode in report[who]["episodes"])
    refused = call("render_agent.py", run)
    assert refused.returncode == 2
    assert "cannot import my_package.keep_middle" in refused.stderr


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("my_package.keep_middle:Other-v0", "did not register it with utils.environments.register"),
        ("my_package.nothing:KeepMiddle-v0", "cannot import my_package.nothing"),
    ],
)
def test_a_wrong_name_is_one_line(tmp_path, outside, name, reason):
    refused = call("01_generate_data.py", "--config", tmp_path / "my.yaml", f"env_name={name}", env=outside)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert reason in line
