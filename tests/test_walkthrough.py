"""docs/walkthrough.ipynb runs from its first cell to its last, and is committed with what it shows."""

import importlib.util
import re

import pytest

from tests.helpers import ROOT

NOTEBOOK = ROOT / "docs/walkthrough.ipynb"


def test_the_notebook_runs_and_ships_with_its_outputs():
    nbformat, nbclient = (pytest.importorskip(name, reason="needs .[notebook]") for name in ("nbformat", "nbclient"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    pictures = [output for cell in cells for output in cell.outputs if output.get("data", {}).get("image/png")]
    assert len(pictures) >= 7

    tagged = lambda cell, tag: tag in cell.metadata.get("tags", [])  # noqa: E731
    if importlib.util.find_spec("stable_baselines3") is None:  # an optional extra, with PyTorch
        notebook.cells = [cell for cell in notebook.cells if not tagged(cell, "sb3")]
    for cell in notebook.cells:
        if tagged(cell, "seconds"):
            cell.source = "SECONDS = 3"
        if cell.cell_type == "code":
            cell.outputs = []
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": NOTEBOOK.parent}}).execute()
    printed = "".join(
        output.text for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
        if output.output_type == "stream" and output.name == "stdout"
    )  # fmt: skip
    assert "V: 4,348,547 parameters" in printed
    assert "C: 867" in printed
    shipped, noisy = (
        re.search(rf"^{name} \[([-\d., ]+)\]$", printed, re.MULTILINE)[1] for name in ("shipped", "with noise")
    )
    assert float(shipped.split(",")[0]) > 800 > float(noisy.split(",")[0])
