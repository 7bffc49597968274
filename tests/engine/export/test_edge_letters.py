"""Saved pictures say where in the patient their edges lie, where the header of the image does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from factories import make_bundle, make_explanation, make_image
from PIL import Image

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.specs import InMemory
from engine.drawing.edges import draw_edges
from engine.export.exact_picture import exact_picture
from engine.export.pictures import agreement_picture, cells_picture, overlay_picture
from engine.export.report import report_of
from engine.images.dicom.facts import DicomFacts, Window
from engine.images.image import MedicalImage
from engine.results.exact_cells import ExactCells, fill_values

SCAN = DicomFacts(
    "CT Image", "CT", "MONOCHROME2", 1, 1, 48, 48, 8, 8, 0.0, 255.0, windows=(Window(127.5, 255.0, "linear_exact"),)
)


def pictures(image: MedicalImage, bundle: ModelBundle) -> list[np.ndarray]:
    """The pictures of an explanation that are saved: those on the pages, then those of the report."""
    made = make_explanation(image, bundle=bundle)
    exact = ExactCells(made.target, {"mean": fill_values("mean", np.random.default_rng(0).random(512))})
    made = replace(made, exact=exact)
    sheets = [overlay_picture(made, "rise"), cells_picture(made, "rise")]
    sheets += [agreement_picture(made), exact_picture(made, exact)]
    drawn = []
    for sheet in sheets:
        left, top, width, height = sheet.picture
        drawn.append(np.asarray(sheet.image)[top : top + height, left : left + width])
    report = report_of(made, created=datetime(2026, 1, 1, tzinfo=UTC))
    return [*drawn, *(np.asarray(each.picture) for each in report.figures)]


def test_every_saved_picture_has_the_letters_of_its_edges_and_the_side_of_the_body() -> None:
    bundle = make_bundle()
    plain = make_image(pixels=np.full((48, 48, 1), 120, dtype=np.float32))
    bare = pictures(plain, bundle)
    silent = replace(plain, dicom=SCAN)
    assert all(map(np.array_equal, pictures(silent, bundle), bare)), "nothing is written that no header says"
    scan = replace(silent, dicom=replace(SCAN, edges=("L", "P")), metadata={"laterality": "left"})
    for drawn, before in zip(pictures(scan, bundle), bare, strict=True):
        changed = (drawn != before).any(axis=2)
        near = min(changed.shape) // 4
        edges = changed[:, :near], changed[:, -near:], changed[-near:, near:-near], changed[:near, near:-near]
        assert all(edge.any() for edge in edges)
        assert changed[:near, -near:].any() or changed[-near:, -near:].any(), "the side of the body, in a corner"
        assert not changed[near:-near, near:-near].any(), "nothing else is changed"
        assert {(0, 0, 0), (255, 255, 255)} <= {tuple(colour) for colour in drawn[changed]}
    # What a function of the caller's own makes of an image may be turned or mirrored; of the image itself it is known.
    made = replace(bundle, in_memory=InMemory("Net", "mirrored", {}))
    by_function = pictures(scan, made)
    same = [np.array_equal(one, other) for one, other in zip(by_function, bare, strict=True)]
    assert same == [each != 4 for each in range(len(same))], "only the report's original has letters"


def test_letters_are_legible_on_any_ground_and_left_out_where_there_is_no_room() -> None:
    for tone in (0, 255):
        picture = Image.new("RGB", (300, 300), (tone,) * 3)
        draw_edges(picture, ("RAF", "LPH", "A", "P"), "both sides")
        pixels = np.asarray(picture)
        for place in (pixels[130:170, :50], pixels[130:170, 250:], pixels[:25, 130:170], pixels[275:, 130:170]):
            assert place.min() == 0
            assert place.max() == 255
    small = Image.new("RGB", (60, 300))
    draw_edges(small, ("R", "L", "A", "P"), "left")
    assert not np.asarray(small).any()
