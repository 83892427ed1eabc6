"""docs/new-environment.md: an environment from outside the package, in the very words of the page."""

import re
import shutil
import sys

import pytest

from tests.helpers import ROOT, TINY, call, call_here
from utils import environments
from utils.environments import get_spec
from utils.run.folder import RunFolder
from utils.run.steps import Step
from utils.system.errors import UsageError


@pytest.fixture
def page(tmp_path) -> dict[str, str]:
    """Writes the module and the YAML of the page into `tmp_path`, the YAML for the tiny sizes."""
    blocks = dict(re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs/new-environment.md").read_text(), re.DOTALL))
    (tmp_path / "dots.py").write_text(blocks["python"])
    settings = re.sub("extends: .*", f"extends: {TINY}\nruns_folder: {tmp_path}", blocks["yaml"])
    (tmp_path / "dot.yaml").write_text(settings)
    return blocks


def test_five_steps_and_a_film_of_the_page_s_environment(page, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # for the processes of step 1
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(environments, "_SPECS", dict(environments._SPECS))
    monkeypatch.delitem(sys.modules, "dots", raising=False)
    arguments = {step.script: ("--config", tmp_path / "dot.yaml") for step in Step}
    arguments[Step.CONTROLLER.script] += ("controller_num_generation=1", "--workers", "0")
    arguments["render_agent.py"] = (tmp_path / "dot", "--episodes", "2", "--random", "--film", tmp_path / "dot.webp")
    for script, words in arguments.items():
        done = (call if script == Step.ROLLOUTS.script else call_here)(script, *words)
        assert done.returncode == 0, (script, done.stderr)
        assert script in page["shell"]
    assert (tmp_path / "dot.webp").stat().st_size > 1000
    assert RunFolder(tmp_path / "dot").log(Step.CONTROLLER)[-1]["evaluation_mean"] is not None
    # A module in the agent's own folder is never imported.
    shutil.copy(tmp_path / "dots.py", tmp_path / "dot")
    monkeypatch.delenv("PYTHONPATH")
    done = call("render_agent.py", tmp_path / "dot")
    assert done.returncode == 2
    assert "env_name: cannot import dots (No module named 'dots')" in done.stderr


def test_a_wrong_name_is_a_line(page, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "registers_nothing.py").touch()
    module = re.sub(r"gymnasium\.register\(.*\n", "", page["python"]).replace("Dot-v0", "Other-v0")
    (tmp_path / "without_gymnasium.py").write_text(module)
    for name, message in {
        "no_such_module:Dot-v0": r"cannot import no_such_module \(No module named 'no_such_module'\)",
        "./dots.py:Dot-v0": r"cannot import ./dots.py \(it is a path, not the name of a module\)",
        "registers_nothing:Dot-v0": "registers_nothing did not register it",
        "without_gymnasium:Other-v0": "Other-v0: call gymnasium.register before utils.environments.register",
        ":Dot-v0": "no environment 'Dot-v0'",
    }.items():
        with pytest.raises(UsageError, match=message):
            get_spec(name)
