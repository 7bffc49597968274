"""The evidence for the maps of one image: four questions, asked one by one or all at once within a budget of time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, get_args

from engine.errors import DeviceError, ExplanationError, Stopped
from engine.evidence.better_than_chance import QUESTION as BETTER_THAN_CHANCE
from engine.evidence.better_than_chance import ask_better_than_chance
from engine.evidence.right import judge_right
from engine.evidence.stable import ask_stable, judge_settled
from engine.explainers.settings import Settings
from engine.explanation.measuring import explaining, known_answer, known_or_measured, passing_together
from engine.explanation.request import NEVER_STOP, request_for
from engine.progress import ProgressCallback, StopSignal, no_progress
from engine.results.evidence import BetterThanChance, Evidence, OfThisNetwork, Stable, Verdict

if TYPE_CHECKING:
    from engine.explanation.explain import Explanation
    from engine.images.image import MedicalImage
    from engine.network.classifier import Classifier
    from engine.results.exact_cells import ExactCells
    from engine.results.saliency import SaliencyMap
    from engine.results.statistics import GridStatistics

Question = Literal["right", "better_than_chance", "stable", "of_this_network"]

QUESTIONS: tuple[Question, ...] = get_args(Question)
"""The four questions, in the order in which they are shown."""

LATER: tuple[Question, ...] = ("stable", "better_than_chance", "of_this_network")
"""Those that may cost passes, in the order in which they are asked: the quickest first."""

Answer = BetterThanChance | Stable | OfThisNetwork

USUAL_SECONDS = 10.0
"""Budget for the evidence of a map where RISE did not run."""

SHORTEST_SECONDS = 5.0
"""Budget at the least: on a small network RISE takes less time than a question needs to begin."""


def first_answers(
    classifier: Classifier,
    maps: Mapping[str, SaliencyMap],
    statistics: Mapping[str, GridStatistics],
    settings: Settings,
    *,
    exact: ExactCells | None = None,
    known: Mapping[str, Evidence] = MappingProxyType({}),
) -> dict[str, Evidence]:
    """Return the evidence for each map as far as it costs no pass.

    That is *right*, *stable* for methods that draw samples, and *of this network* where it was measured before.

    Args:
        classifier: the network.
        maps: by method.
        statistics: those of the maps, by method.
        settings: those with which the maps were made.
        exact: the exact answer for the maps' image and class; None where there is none yet.
        known: what was answered before, by method; it is kept.
    """
    found = {}
    for method, saliency in maps.items():
        before, settled = known.get(method, Evidence()), judge_settled(saliency, statistics[method])
        own = before.of_this_network
        if own.verdict is Verdict.NOT_ASKED:
            own = _measured_before(classifier, method, settings) or own
        found[method] = replace(
            before,
            right=judge_right(exact, statistics[method].top, statistics[method].named),
            stable=before.stable if settled is None else settled,
            of_this_network=own,
        )
    return found


def ask(
    classifier: Classifier,
    image: MedicalImage,
    saliency: SaliencyMap,
    question: Question,
    settings: Settings | None = None,
    *,
    others: Callable[[], Iterable[MedicalImage]] = tuple,
    progress: ProgressCallback = no_progress,
    stop: StopSignal = NEVER_STOP,
) -> Answer:
    """Ask one of the questions that may cost passes about one map. What cannot be found out is `unknown`.

    *Of this network* is measured once for each model and method, and then known at once.

    Args:
        classifier: the network; its lock is taken, and it is left as it is.
        image: the image that the map explains.
        saliency: the map, of this image and network.
        question: one of `LATER`.
        settings: those with which the map was made.
        others: gives more images for *of this network*: it is called only if that has to be measured, and the model has
            no samples of its own. Those that cannot be fed to the model are left out.
        progress: told how far the question is, under its own name in place of a method's; without previews.
        stop: asked before every pass.

    Raises:
        Stopped: stopped before there was an answer.
        NotCompliantError: the image cannot be fed to this model.
        ValueError: no such question, or one that `first_answers` answers.
    """
    settings = replace(settings or Settings(), target=saliency.target)
    try:
        if question == "of_this_network":
            return known_or_measured(classifier, saliency.method, settings, image, others, progress=progress, stop=stop)
        if question == "better_than_chance":
            return _better_than_chance(classifier, image, saliency, progress, stop)
        if question == "stable":
            return _stable(classifier, image, saliency, settings, progress, stop)
    except (ExplanationError, DeviceError) as error:
        kinds: dict[str, type[Answer]] = {"better_than_chance": BetterThanChance, "stable": Stable}
        return kinds.get(question, OfThisNetwork)(Verdict.UNKNOWN, why=error.cause)
    raise ValueError(f"{question} is not a question that costs passes")


def ask_evidence(
    classifier: Classifier,
    explanation: Explanation,
    *,
    seconds: float | None = None,
    others: Callable[[], Iterable[MedicalImage]] = tuple,
    progress: ProgressCallback = no_progress,
    stop: StopSignal = NEVER_STOP,
    on_answer: Callable[[str, Evidence], None] | None = None,
) -> Explanation:
    """Ask about every map what has not been asked yet, and return the explanation with the answers.

    Args:
        classifier: the network of the explanation.
        explanation: its maps are asked about in their order.
        seconds: for each map, on average; None for the time that RISE took, see `usual_seconds`. What is not answered
            by then stays *not asked yet*.
        others: as for `ask`.
        progress: as for `ask`, under the name of the method and that of the question: `rise stable`.
        stop: asked before every pass; the answers so far are kept.
        on_answer: called with the method and its evidence after every answer.

    Raises:
        NotCompliantError: the image cannot be fed to this model.
    """
    seconds = usual_seconds(explanation.maps) if seconds is None else seconds
    found = first_answers(
        classifier,
        explanation.maps,
        explanation.statistics,
        explanation.settings,
        exact=explanation.exact,
        known=explanation.evidence,
    )
    started, budget = time.monotonic(), seconds * len(explanation.maps)
    # What one map does not use is left for the next. What concerns the network, and not the image, comes last.
    waiting = [(question, place, method) for place, method in enumerate(explanation.maps) for question in LATER]
    for question, place, method in sorted(waiting, key=lambda each: each[0] == "of_this_network"):
        if found[method].verdicts[question] is not Verdict.NOT_ASKED:
            continue
        share = budget if question == "of_this_network" else seconds * (place + 1)
        try:
            answer = ask(
                classifier,
                explanation.image,
                explanation.maps[method],
                question,
                explanation.settings,
                others=others,
                progress=_under(f"{method} {question}", progress),
                stop=Deadline(started + share - time.monotonic(), stop),
            )
        except Stopped:
            left = f"not answered within {seconds:.3g} s a map"
            why = "stopped before there was an answer" if stop.is_set() else left
            found[method] = with_answer(found[method], replace(getattr(found[method], question), why=why))
            continue
        found[method] = with_answer(found[method], answer)
        if on_answer is not None:
            on_answer(method, found[method])
    return replace(explanation, evidence=MappingProxyType(found))


def usual_seconds(maps: Mapping[str, SaliencyMap]) -> float:
    """Return how long the questions about one map may take: as long as RISE took, if it is among the maps."""
    rise = maps.get("rise")
    return USUAL_SECONDS if rise is None else max(rise.seconds, SHORTEST_SECONDS)


def out_of_time(evidence: Iterable[Evidence]) -> bool:
    """Whether a question was begun, and stopped before there was an answer."""
    asked = (getattr(each, question) for each in evidence for question in LATER)
    return any(answer.verdict is Verdict.NOT_ASKED and answer.why for answer in asked)


def with_answer(evidence: Evidence, answer: Answer) -> Evidence:
    """Return the evidence with one answer more."""
    if isinstance(answer, BetterThanChance):
        return replace(evidence, better_than_chance=answer)
    return replace(evidence, stable=answer) if isinstance(answer, Stable) else replace(evidence, of_this_network=answer)


class Deadline:
    """A stop signal that is set once the time is up, or once another signal is."""

    def __init__(self, seconds: float, stop: StopSignal = NEVER_STOP) -> None:
        self._end, self._stop = time.monotonic() + seconds, stop

    def is_set(self) -> bool:
        """True once the work should stop."""
        return self._stop.is_set() or time.monotonic() >= self._end


def _under(name: str, progress: ProgressCallback) -> ProgressCallback:
    return lambda report: progress(replace(report, method=name))


def _measured_before(classifier: Classifier, method: str, settings: Settings) -> OfThisNetwork | None:
    try:
        return known_answer(classifier, method, settings)
    except ExplanationError:  # a plug-in that cannot be used; whoever asks is told
        return None


def _better_than_chance(
    classifier: Classifier, image: MedicalImage, saliency: SaliencyMap, progress: ProgressCallback, stop: StopSignal
) -> BetterThanChance:
    # Its own seed, so that the random maps are not made of the numbers that the method's masks were made of.
    settings = Settings(target=saliency.target)
    name = f"{saliency.method} {BETTER_THAN_CHANCE}"

    def work() -> BetterThanChance:
        request = request_for(classifier, image, name, settings, None, progress, stop, ())
        return ask_better_than_chance(request, saliency)

    with classifier.lock:
        return classifier.with_memory(work)


def _stable(
    classifier: Classifier,
    image: MedicalImage,
    saliency: SaliencyMap,
    settings: Settings,
    progress: ProgressCallback,
    stop: StopSignal,
) -> Stable:
    explain = explaining(classifier, saliency.method, settings)
    together = passing_together(classifier, saliency.method, settings)

    def work() -> Stable:
        request = request_for(classifier, image, saliency.method, settings, None, progress, stop, ())
        return ask_stable(request, saliency, explain, together)

    with classifier.lock:
        return classifier.with_memory(work)
