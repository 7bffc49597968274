"""What the decoding process answers is checked: an answer that cannot be true is none."""

from __future__ import annotations

import json

import pytest

from engine.images.decoding.protocol import parse_answer
from engine.images.header import Limits

HEADER = {
    "format": "PNG",
    "height": 4,
    "width": 5,
    "bit_depth": 8,
    "grey": False,
    "alpha": "none",
    "orientation": 1,
    "inverted": False,
    "size": 9,
}


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {},
        {"cause": 3, "remedy": None, "code": "damaged"},
        {"cause": "damaged", "remedy": None},
        {"header": HEADER},
        {"header": HEADER, "shape": [4, 5, 3]},
        *(
            {"header": HEADER, "shape": [4, 5, 3], "warnings": warnings}
            for warnings in ("none", ["bits"], [["bits"]], [["bits", 8]], [["\x1b[2J", "no"]], [["bits", "no"]] * 9)
        ),
        {"header": HEADER, "shape": [4, 5, 2], "warnings": []},
        {"header": HEADER, "shape": [4, -5, 3], "warnings": []},
        {"header": HEADER, "shape": [4, 5, 3, 1], "warnings": []},
        {"header": HEADER, "shape": [10**6, 10**6, 3], "warnings": []},
        {"header": HEADER, "shape": [0, 10**9, 3], "warnings": []},
        {"header": HEADER, "shape": [0, 0, 1], "warnings": []},
        *(
            {"header": HEADER | odd, "shape": [4, 5, 3], "warnings": []}
            for odd in ({"format": "\x1b[2J"}, {"bit_depth": 4}, {"size": "9"}, {"declared_bits": 17})
        ),
        *(
            {"header": HEADER | odd, "shape": [4, 5, 3], "warnings": []}
            for odd in ({"orientation": 9}, {"height": 10**9}, {"more": 1})
        ),
    ],
)
def test_an_answer_that_cannot_be_true_is_none(answer: object) -> None:
    with pytest.raises(ValueError, match=r"no answer|no header|no shape"):
        parse_answer(json.dumps(answer).encode(), Limits())
    with pytest.raises(ValueError, match="Expecting value"):
        parse_answer(b"\n", Limits())
    sound = {"header": HEADER, "shape": [4, 5, 3], "warnings": []}
    assert parse_answer(json.dumps(sound).encode(), Limits()).bytes == 60


def test_pixels_come_when_they_are_asked_for_and_only_then() -> None:
    empty, whole = (
        json.dumps({"header": HEADER, "shape": shape, "warnings": []}).encode() for shape in ([0, 0, 1], [4, 5, 3])
    )
    assert parse_answer(empty, Limits(), pixels=False).bytes == 0
    with pytest.raises(ValueError, match="no shape"):
        parse_answer(whole, Limits(), pixels=False)
