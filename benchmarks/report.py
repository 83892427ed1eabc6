"""Where benchmark results go: `benchmarks/results/*.json`, with the machine they were measured on."""

import json
import os
import platform
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def machine() -> dict:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
        flags = next(line for line in lines if line.startswith("flags"))
    except (OSError, StopIteration):
        model, flags = platform.processor(), ""
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "bfloat16": [name for name in ("avx512_bf16", "amx_bf16") if name in flags],
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def store(name: str, content: dict) -> None:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **content}, indent=1) + "\n")
    print(f"stored in {path}")


def into_readme(table: list[tuple[str, str, float, float]]) -> None:
    """Puts the rows (group, row, value, ratio) in the place of README.md's speed table."""
    head = ["| | a second (or as said) | ratio |", "| --- | --- | --- |"]
    lines, last = list(head), None
    for group, row, value, ratio in table:
        if group != last:
            lines.append(f"| **{group}** | | |")
        last = group
        lines.append(f"| {row} | {value:,.{1 if value < 100 else 0}f} | {ratio:,.{2 if ratio < 10 else 0}f} x |")
    readme = RESULTS.parent.parent / "README.md"
    before, rest = readme.read_text().split(head[0], 1)
    readme.write_text(before + "\n".join(lines) + "\n\n" + rest.split("\n\n", 1)[1])
