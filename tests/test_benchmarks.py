"""The command lines of the benchmarks. The measurements themselves take minutes and are not tested."""

import json
import runpy
import shutil
import sys
import warnings
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest

from benchmarks.ablations import into_table
from benchmarks.report import scores_of_agent
from tests.helpers import ROOT

PROGRAMS = sorted(
    path.stem for path in (ROOT / "benchmarks").glob("*.py") if 'if __name__ == "__main__":' in path.read_text()
)


def test_help_helps_and_bad_arguments_are_told_in_a_line(monkeypatch, capsys):
    def run(program: str, *arguments: str) -> tuple[int, str, str]:
        """The program in this process, which has its imports already; its exit code and what it wrote."""
        monkeypatch.setattr(sys, "argv", [program, *arguments])
        with pytest.raises(SystemExit) as end, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # runpy's, of modules that are imported already
            runpy.run_module(f"benchmarks.{program}", run_name="__main__")
        return end.value.code, *capsys.readouterr()

    refusals = [(program, "--nonsense") for program in PROGRAMS]
    refusals += [("baseline", "ENV", "--episodes", "0"), ("vae_input", "--rounds", "0"), ("doom", "MAX_STEPS", "RUN")]
    for program in PROGRAMS:
        code, out, error = run(program, "--help")
        assert (code, error) == (0, ""), program
        assert out.startswith(f"usage: python -m benchmarks.{program} "), program
    for arguments in refusals:
        code, out, error = run(*arguments)
        assert (code, out) == (2, ""), arguments
        assert "error: " in error.splitlines()[-1], arguments


def test_results_are_written_only_when_asked_for(tmp_path, monkeypatch, capsys):
    store = runpy.run_path(str(ROOT / "benchmarks/report.py"))["store"]
    monkeypatch.setitem(store.__globals__, "RESULTS", tmp_path / "results")
    store(SimpleNamespace(store=False), "rows", {"rows": [1]})
    assert not list(tmp_path.iterdir())
    assert "--store" in capsys.readouterr().out
    with pytest.raises(TypeError):
        store(SimpleNamespace(store=True), "rows", {"rows": [object()]})
    assert not list(tmp_path.rglob("*.json"))
    store(SimpleNamespace(store=True), "rows", {"rows": [1]})
    stored = json.loads((tmp_path / "results/rows.json").read_text())
    assert (stored["rows"], stored["machine"]["gymnasium"]) == ([1], gymnasium.__version__)


def test_a_row_of_the_ablations_replaces_its_own_alone(tmp_path):
    """So that rows may be made on several machines, or one of them again."""
    table = tmp_path / "ablations.csv"
    for latent, mean in (("sample", 1.5), ("mean", 2.5), ("sample", 3.5)):
        into_table(table, {"C reads": "z, h", "z": latent, "mean": mean})
    assert table.read_text() == 'C reads,z,mean\n"z, h",sample,3.5\n"z, h",mean,2.5\n'


def test_an_agent_is_scored_again_only_if_it_is_another(evolved, tmp_path):
    run, into = shutil.copytree(evolved / "tiny", tmp_path / "tiny"), tmp_path / "score.json"

    def scored() -> int:
        """Which file has the scores. Each report is a new one."""
        assert len(scores_of_agent(run, into, 2, 7, "--steps", "20")["episodes"]) == 2
        return into.stat().st_ino

    first = scored()
    assert scored() == first
    best = run / "controller/best.npz"
    with np.load(best) as file:
        facts = dict(file)
    np.savez(best, **facts | {"parameters": facts["parameters"] + 1})
    second = scored()
    assert second != first
    assert scored() == second
