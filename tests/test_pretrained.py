"""The agents that ship are what the README says of them."""

import json
import re

import numpy as np
import pytest

from tests.helpers import ROOT, call_here
from utils.run.summaries import statistics

ENOUGH = {"carracing": 600, "carracing_dream": 200, "doom": 350}  # far above random policies: -33, -33 and 219
FOLDERS = sorted(path for path in (ROOT / "pretrained").iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_it_drives_right_after_the_install(folder, tmp_path):
    assert sum(path.stat().st_size for path in folder.rglob("*")) < 16e6
    done = call_here("render_agent.py", str(folder), "--episodes", "6", "--json", str(tmp_path / "score.json"))
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "score.json").read_text())["agent"]["mean"] > ENOUGH[folder.name]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_its_evaluation_is_whole_and_the_one_in_the_readme(folder):
    evaluation = json.loads((folder / "evaluation.json").read_text())
    own = folder.name == "doom"  # ViZDoom's own game; --stock is a larger screen that V has not seen
    assert evaluation["environment"] == ("WorldModels/TakeCover-v0" if own else "the unmodified environment")
    episodes = evaluation["agent"]["episodes"]
    assert [episode["seed"] for episode in episodes] == list(range(1000, 2000 if own else 1100))
    told = statistics(np.array([episode["score"] for episode in episodes]))
    assert {name: evaluation["agent"][name] for name in told} == pytest.approx(told)
    row = next(line for line in (ROOT / "README.md").read_text().splitlines() if f"pretrained/{folder.name}`" in line)
    assert re.search(r"(\d+) \+- (\d+)", row).groups() == (f"{told['mean']:.0f}", f"{told['std']:.0f}")
