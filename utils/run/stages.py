"""A whole number that may change while a step works: 16, or {1: 4, 50: 16}, 16 from the 50th on."""

from typing import Annotated

from pydantic import PlainValidator


def _checked(value: object) -> object:
    """Checks a whole number, or whole numbers by the generation or iteration from which on they apply."""
    stages = value if isinstance(value, dict) else {1: value}
    if any(type(number) is not int or number < 1 for stage in stages.items() for number in stage):
        raise ValueError("should be a whole number of at least 1, or some of them: {1: 4, 50: 16}")
    if 1 not in stages:
        raise ValueError("should say what holds from 1 on")
    return value


def sorted_stages(stages: int | dict[int, int]) -> dict[int, int]:
    return dict(sorted(stages.items())) if isinstance(stages, dict) else {1: stages}


Stages = Annotated[int | dict[int, int], PlainValidator(_checked)]
