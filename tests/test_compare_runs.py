"""compare_runs.py: the table of run folders, and their learning curves."""

import json
import shutil

from PIL import Image

from tests.helpers import call_here
from utils.run import overview


def test_the_table_says_how_far_each_run_is_and_the_picture_compares_them(evolved, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(evolved / "tiny", runs / "done")
    shutil.copytree(evolved / "tiny", runs / "begun", ignore=shutil.ignore_patterns("rnn", "controller", "score.json"))
    next((runs / "begun/rollouts").glob("episode_*.npz")).unlink()
    (runs / "done/score.json").write_text(json.dumps({"agent": {"mean": 12.4, "std": 3.2}}))
    begun, done = (overview.row(run) for run in overview.find(runs))
    assert (done["generations"], done["score.json"]) == ("1", "12 +- 3")
    assert begun["rollouts"] == f"{int(done['rollouts']) - 1} of {done['rollouts']}"
    assert begun["M: NLL"] == begun["generations"] == begun["C: score"] == ""

    picture = tmp_path / "both.png"
    told = call_here("compare_runs.py", str(runs / "done"), str(runs / "begun"), "--picture", str(picture))
    assert told.returncode == 0, told.stderr
    header, *lines = told.stdout.splitlines()[:3]
    assert header.split()[:2] == ["run", "environment"]
    assert [line.split()[0] for line in lines] == [str(runs / "done"), str(runs / "begun")]
    assert done["C: score"] in lines[0]
    assert Image.open(picture).width > 1000


def test_what_cannot_be_compared_is_told_in_a_line(evolved, tmp_path):
    for arguments, told in (
        ((tmp_path,), "is no run folder"),
        ((evolved / "tiny", "--picture", tmp_path / "curves"), "ends in .png, .svg or .pdf"),
    ):
        refused = call_here("compare_runs.py", *map(str, arguments))
        assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
        assert told in refused.stderr
