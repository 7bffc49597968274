"""The evidence for the maps of an explanation: what is known at once, what is asked later, and how it is said."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from factories import make_explanation, make_image
from networks import MeanOfOneChannel, classifier
from PIL import Image
from torch import nn

from engine.acceleration.torch_private import hooks_of
from engine.errors import Stopped
from engine.evidence.figures import known_figures
from engine.explainers.gradcam import GradCam
from engine.explainers.settings import Settings
from engine.explanation import evidence as asking
from engine.explanation.evidence import LATER, QUESTIONS, Deadline, ask, ask_evidence, out_of_time, usual_seconds
from engine.explanation.evidence_words import (
    MARKS,
    evidence_details,
    evidence_line,
    evidence_marks,
    evidence_notes,
)
from engine.explanation.explain import Explanation, explain
from engine.explanation.measuring import readable
from engine.export.record import explanation_record
from engine.network.classifier import Classifier
from engine.progress import Progress
from engine.results.evidence import BetterThanChance, Curves, Evidence, OfThisNetwork, Right, Stable, Verdict
from engine.results.exact_cells import Judged
from engine.storage import places

SIZE = 24
FEW = Settings(methods=("rise", "gradcam"), samples={"rise": 300})


class Bright(nn.Module):
    """Two classes: whether there is much of the first channel, or little; what a channel is has two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3, padding=1)
        self.dense = nn.Linear(2, 2)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[0, 0] = 1 / 9
            self.conv.weight[1, 1] = 1 / 9
            self.conv.bias.zero_()
            self.dense.weight.copy_(torch.tensor([[-12.0, 0.0], [12.0, 0.0]]))
            self.dense.bias.copy_(torch.tensor([4.0, -4.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(torch.relu(self.conv(x)).mean((2, 3)))


@pytest.fixture(scope="module")
def model() -> Classifier:
    return classifier(Bright(), classes=("dark", "bright"))


@pytest.fixture(scope="module")
def explained(model: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Explanation:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "state", lambda: tmp_path_factory.mktemp("state"))
        return explain(model, make_image(height=SIZE, width=SIZE), FEW)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "state", lambda: tmp_path)


def test_an_explanation_comes_with_what_costs_no_pass(explained: Explanation) -> None:
    rise, gradcam = explained.evidence["rise"], explained.evidence["gradcam"]
    for method, found in (("rise", rise), ("gradcam", gradcam)):
        assert found.right.fills == explained.exact.judge(explained.statistics[method].top)
        assert found.right.verdict is Verdict.YES  # the first channel's cells, and its brightest three are named
    assert rise.stable.settled == explained.statistics["rise"].certain
    assert gradcam.stable.verdict is Verdict.NOT_ASKED
    assert {found.better_than_chance.verdict for found in (rise, gradcam)} == {Verdict.NOT_ASKED}


def test_everything_is_asked_and_the_network_is_left_as_it_was(
    model: Classifier, explained: Explanation, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, together = model.network, GradCam.pass_together
    batches: list[int] = []
    monkeypatch.setattr(
        GradCam, "pass_together", lambda self, asked: (batches.append(len(asked)), together(self, asked))[1]
    )
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    gradients = [(value.requires_grad, value.grad) for value in network.parameters()]
    reports: list[Progress] = []
    answered: list[tuple[str, Evidence]] = []
    found = ask_evidence(
        model,
        explained,
        seconds=600,
        progress=reports.append,
        on_answer=lambda method, evidence: answered.append((method, evidence)),
    )
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    assert [module.training for module in network.modules()] == modes
    assert [(value.requires_grad, value.grad) for value in network.parameters()] == gradients
    assert not any(hooks for hooks in hooks_of(network))
    for method in FEW.methods:
        verdicts = found.evidence[method].verdicts
        assert Verdict.NOT_ASKED not in verdicts.values()
        assert verdicts["better_than_chance"] is Verdict.YES
        assert verdicts["of_this_network"] is not Verdict.NO
    assert found.evidence["gradcam"].stable.verdict is Verdict.YES
    assert found.evidence["gradcam"].stable.copies == 16
    assert batches == [16]
    assert [method for method, _ in answered].count("gradcam") == 3
    assert answered[-1] == ("gradcam", found.evidence["gradcam"])
    # What is asked of the network and not of the image comes last.
    assert [found.of_this_network.verdict is Verdict.NOT_ASKED for _, found in answered] == [True] * 3 + [False] * 2
    assert {report.method for report in reports} == {
        *("rise better_than_chance", "rise of_this_network"),
        *(f"gradcam {question}" for question in LATER),
    }
    # All but the evidence is the same, and what the maps were made of was not touched.
    for field in fields(found):
        if field.name != "evidence":
            assert getattr(found, field.name) is getattr(explained, field.name), field.name
    # It is measured once: from now on, a new explanation says it at once, and asking again costs no pass.
    again = explain(model, explained.image, replace(FEW, methods=("gradcam",)))
    assert again.evidence["gradcam"].of_this_network == found.evidence["gradcam"].of_this_network
    assert len(list(places.figures().glob("*.json"))) == 1
    # The figures come from the same images, weights and seeds, wherever they are measured.
    next(places.figures().glob("*.json")).unlink()
    answer = ask(model, explained.image, explained.maps["gradcam"], "of_this_network", FEW)
    assert answer == found.evidence["gradcam"].of_this_network
    record = json.loads(json.dumps(explanation_record(found)))["methods"]["gradcam"]["evidence"]
    assert {question: record[question]["verdict"] for question in QUESTIONS} == {
        question: str(verdict) for question, verdict in found.evidence["gradcam"].verdicts.items()
    }
    assert len(record["better_than_chance"]["deletion"]["random_areas"]) == 16
    assert evidence_notes(found, "gradcam")[0] in re.sub(r"\s+", " ", shown(found))
    assert evidence_notes(found, "gradcam")[0] in found._repr_html_()


def shown(explanation: Explanation) -> str:
    import io

    text = io.StringIO()
    explanation.show(file=text, width=200)
    return text.getvalue()


def test_what_does_not_fit_the_budget_stays_not_asked_with_a_reason(
    model: Classifier, explained: Explanation, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ask_evidence(model, explained, seconds=0.0)
    assert {found.evidence["gradcam"].verdicts[question] for question in LATER} == {Verdict.NOT_ASKED}
    assert found.evidence["gradcam"].stable.why == "not answered within 0 s a map"
    assert out_of_time(found.evidence.values())
    assert not out_of_time(explained.evidence.values()), "nothing was begun"
    assert list(places.figures().parent.glob("figures/*")) == []
    stop = threading.Event()
    stop.set()
    stopped = ask_evidence(model, explained, seconds=600, stop=stop)
    assert "stopped" in stopped.evidence["gradcam"].better_than_chance.why
    assert stopped.evidence["gradcam"].right == explained.evidence["gradcam"].right
    slow = {"rise": replace(explained.maps["rise"], seconds=75.0)}
    assert usual_seconds(slow) == 75.0
    assert usual_seconds({}) == asking.USUAL_SECONDS
    assert not Deadline(600).is_set()
    assert Deadline(600, stop).is_set()


def test_a_measurement_of_the_network_goes_on_where_it_was_stopped(model: Classifier, explained: Explanation) -> None:
    stop, seen = threading.Event(), []

    def progress(report: Progress) -> None:
        seen.append(report.done)
        if report.done == 7:
            stop.set()

    saliency = explained.maps["gradcam"]
    with pytest.raises(Stopped):
        ask(model, explained.image, saliency, "of_this_network", FEW, progress=progress, stop=stop)
    other = make_image("b.png", height=SIZE, width=SIZE, pixels=explained.image.pixels[::-1].copy())
    ask(model, other, saliency, "of_this_network", FEW, progress=progress)
    assert seen == [1, 2, 3, 4, 5, 6, 7, *range(5, 17)]
    assert not any('"method": "gradcam"' in str(key) for key in model.unfinished)


def test_what_cannot_be_found_out_is_unknown_with_the_reason(explained: Explanation) -> None:
    class Strange(Bright):
        def __deepcopy__(self, memo: object) -> nn.Module:
            raise TypeError("no copies of this")

    model = classifier(Strange(), classes=("dark", "bright"))
    answer = ask(model, explained.image, explained.maps["gradcam"], "of_this_network", FEW)
    assert answer.verdict is Verdict.UNKNOWN
    assert "no copies of this" in answer.why
    assert known_figures(model.bundle.digest, "anything") is None
    with pytest.raises(ValueError, match="costs passes"):
        ask(model, explained.image, explained.maps["gradcam"], "right", FEW)


def test_one_logit_is_measured_for_the_class_that_it_predicts() -> None:
    model = classifier(MeanOfOneChannel(scale=40.0, shift=-15.0))
    made = explain(model, make_image(height=SIZE, width=SIZE), replace(FEW, methods=("gradcam",)))
    assert ask(model, made.image, made.maps["gradcam"], "of_this_network", FEW).images == 4


CURVES = Curves("deletion", np.arange(3.0), np.zeros(3), np.zeros((2, 3)), np.zeros(3), 0.3, np.array([0.5, 0.7]), 0.6)
WHOLE = Evidence(
    Right(Verdict.YES, {"mean": Judged(2, 5.0, 14.5), "blur": Judged(2, 1.0, 3.0)}, 0.0833, "hardly any do more"),
    BetterThanChance(Verdict.NO, CURVES, replace(CURVES, kind="insertion"), "it beats 3 of 16 random maps"),
    Stable(),
    OfThisNetwork(Verdict.UNKNOWN, {"head": 0.9, "all": 0.1}, {"head": 2.5, "all": 1.0}, 4, "it hardly notices"),
)


def test_the_line_under_a_map_says_all_four_with_chance_beside_the_number() -> None:
    line = evidence_line(WHOLE)
    assert line == (
        "right: yes, 2 of 3 shared (chance 1) · better than chance: no · stable: not asked yet · "
        "of this network: cannot be said"
    )
    assert evidence_line(WHOLE, len(line)) == line
    assert evidence_line(WHOLE, 80) == "✓ right  ✗ beats chance  · stable  ? this network"
    assert evidence_marks(WHOLE, 20) == "✓✗·?"
    assert len(set(MARKS.values())) == len(Verdict)
    other = replace(WHOLE, right=replace(WHOLE.right, fills={**WHOLE.right.fills, "blur": Judged(0, 9.0, 9.0)}))
    assert evidence_line(other).startswith("right: yes, 0 to 2 of 3 shared (chance 1)")
    # A fill under which no cell matters has no exact three to share.
    none = replace(WHOLE, right=Right(Verdict.UNKNOWN, {"mean": Judged(1, None, None)}, why="no cell matters"))
    assert evidence_line(none).startswith("right: cannot be said · ")


def test_the_figures_behind_each_answer_can_be_read() -> None:
    details = {name: (verdict, why) for name, verdict, why in evidence_details(WHOLE)}
    assert details["right"] == (
        "yes",
        "Hardly any do more. Mean: 2 of 3 shared, kept 5th, hidden 14.5 of 84; blur: 2 of 3 shared, kept 1st, hidden "
        "3rd of 84; chance: 1 of 3 shared, rank 42.5; 8% of all choices of three cells would be called right here.",
    )
    assert details["better than chance"][1] == (
        "It beats 3 of 16 random maps. Deletion area 0.30, less is better (random 0.50 to 0.70, median 0.60; centre "
        "0.60); insertion area 0.30, more is better (random 0.50 to 0.70, median 0.60; centre 0.60)."
    )
    assert details["stable"] == ("not asked yet", "")
    assert "last layer 0.90 (2.5 of 3 cells shared), all 0.10" in details["of this network"][1]


def test_nothing_is_said_of_maps_about_which_nothing_was_asked() -> None:
    plain = make_explanation()
    assert evidence_notes(plain, "rise") == ()
    assert evidence_notes(replace(plain, evidence={"rise": Evidence()}), "rise") == ()
    assert explanation_record(plain)["methods"]["rise"]["evidence"] is None


def test_images_to_measure_with_are_read_with_the_bits_that_were_given(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "a.png")
    (found,) = readable([tmp_path / "a.png", tmp_path / "none.png"], 7)
    assert found.bits.user == 7
