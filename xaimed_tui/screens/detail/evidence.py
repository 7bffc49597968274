"""Can this map be believed? The four questions about it, with their figures and what they are held against."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen

from engine.evidence import thresholds
from engine.explanation.evidence_words import MARKS, QUESTION_WORDS, VERDICT_WORDS
from engine.explanation.exact_words import ranks_words
from engine.results.evidence import Evidence, Verdict
from engine.results.exact_cells import MEAN_RANK, SHARED_BY_CHANCE, TRIPLES
from engine.text import safe_name, safe_text
from xaimed_tui.widgets.closing_once import ClosesOnce
from xaimed_tui.widgets.curves import CENTRE, OWN, RANDOM, CurvesChart
from xaimed_tui.widgets.evidence_words import evidence_line
from xaimed_tui.widgets.exact_words import FILL_WORDS
from xaimed_tui.widgets.key_line import KeyLine
from xaimed_tui.widgets.words import FixedWords, Part, ScrolledWords, Words
from xaimed_tui.wording import method_name

if TYPE_CHECKING:
    from engine.explanation.explain import Explanation

_ASKS = {
    "right": "Are its three cells those that do most, kept and hidden?",
    "better_than_chance": "Does the answer follow the map more than random maps and a blob in the centre?",
    "stable": "Does it name the same cells when chance, or noise that nobody sees, is another?",
    "of_this_network": "Does the map change when the network's weights are replaced by random ones?",
}

_HELD_AGAINST = {
    "right": (
        f"Yes: rank {thresholds.GOOD_RANK:g} or better of {len(TRIPLES)}, or as good as the best within "
        f"{thresholds.AS_GOOD_AS_THE_BEST:.0%} of the range, kept and hidden, under every fill that matters. No: "
        f"behind rank {thresholds.POOR_RANK:g} and not nearly as good, kept and hidden, under all of them. By chance "
        f"{SHARED_BY_CHANCE:g} of 3 is shared and the rank is {MEAN_RANK:g}."
    ),
    "better_than_chance": (
        f"Yes: better than {thresholds.BEATEN_FOR_YES} of {thresholds.RANDOM_MAPS} random maps and than a blob in the "
        f"centre. No: better than fewer than {thresholds.BEATEN_FOR_NO}."
    ),
    "stable": (
        "Methods that draw samples: yes if all three cells are settled at 99 %; no if none is, "
        f"{thresholds.OPEN_FOR_NO} or more cells might belong to them, and chance is more than "
        f"{1 - thresholds.FEWEST_RELIABLE:.0%} of what tells the cells apart. Others, over "
        f"{thresholds.COPIES} copies with noise of one grey level: yes from a correlation of "
        f"{thresholds.CORRELATION_FOR_YES:g} and the same three cells in {thresholds.SAME_THREE_FOR_YES:.0%}; no below "
        f"{thresholds.CORRELATION_FOR_NO:g}."
    ),
    "of_this_network": (
        f"Yes: the rank correlation with the map of random weights is below {thresholds.CHANGED_BELOW:g}, whether the "
        f"last layer, the later half or all are random. No: from {thresholds.UNCHANGED_FROM:g} on with half or all "
        "random, for then the map would be nearly the same with any network."
    ),
}

_RANDOM = {"head": "last layer random", "half": "later half random", "all": "all random"}


class EvidenceScreen(ClosesOnce, Screen[None]):
    """The evidence for one map: its deletion and insertion curves above, the four answers below."""

    DEFAULT_CSS = """
    EvidenceScreen { background: $background; }
    EvidenceScreen #title {
        dock: top; height: 1; background: $panel; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis;
    }
    EvidenceScreen #body { height: 1fr; padding: 0 1; }
    EvidenceScreen #line { height: 2; }
    EvidenceScreen #curves { height: 1fr; min-height: 9; max-height: 22; color: $text-muted; }
    EvidenceScreen #signs { height: 1; color: $text-muted; }
    EvidenceScreen #answers { height: 1fr; min-height: 6; border-top: solid $border-blurred; }
    EvidenceScreen #answers-text { color: $text-muted; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,e", "leave", "Back"),
        Binding("c", "copy", "Copy"),
        Binding("question_mark", "app.help", "Help", key_display="?"),
    ]

    def __init__(self, explanation: Explanation, method: str) -> None:
        super().__init__()
        self._explanation, self._method = explanation, method

    @property
    def evidence(self) -> Evidence:
        """What is known of the map."""
        return self._explanation.evidence.get(self._method, Evidence())

    def compose(self) -> ComposeResult:
        """Make the title, the line, two charts, and the answers."""
        yield FixedWords(id="title")
        with Vertical(id="body"):
            yield FixedWords(id="line")
            with Horizontal(id="curves"):
                yield CurvesChart(id="deletion")
                yield CurvesChart(id="insertion")
            yield FixedWords(id="signs")
            with ScrolledWords(id="answers"):
                yield Words(id="answers-text")
        yield KeyLine()

    def on_mount(self) -> None:
        self._show()
        self.query_one(ScrolledWords).focus()

    def renew(self, explanation: Explanation) -> None:
        """Show what is known by now."""
        self._explanation = explanation
        self._show()

    def _show(self) -> None:
        explanation, evidence = self._explanation, self.evidence
        image, target = safe_name(explanation.image.path.name, 60), safe_name(explanation.target, 40)
        self.query_one("#title", FixedWords).say(
            Content.assemble(
                (f"Can {method_name(self._method)} be believed?", "bold $primary"),
                f"  of {image}, what speaks for ",
                (target, "bold"),
            )
        )
        self.query_one("#line", FixedWords).say(Content.assemble(*evidence_line(evidence, self.app.size.width - 2)))
        curves = evidence.better_than_chance
        why = curves.why or f"{QUESTION_WORDS['better_than_chance']}: {VERDICT_WORDS[curves.verdict]}"
        self.query_one("#deletion", CurvesChart).show(curves.deletion, f"No curves: {why}.")
        self.query_one("#insertion", CurvesChart).show(curves.insertion)
        if curves.deletion is not None:
            signs = f"{OWN} this map   {RANDOM} random maps, lowest to highest   {CENTRE} blob in the centre"
            self.query_one("#signs", FixedWords).say(signs)
        self.query_one("#answers-text", Words).say(Content.assemble(*answer_parts(evidence)))

    def action_copy(self) -> None:
        """Copy the answers to the terminal's clipboard."""
        text = Content.assemble(*answer_parts(self.evidence)).plain
        self.app.copy_to_clipboard(f"{method_name(self._method)}\n{text}")
        self.notify("Copied, if your terminal allows it.", markup=False)

    def action_leave(self) -> None:
        self.dismiss(None)


def answer_parts(evidence: Evidence) -> list[Part]:
    """Return the four questions with their verdicts, the figures behind them, and what these are held against."""
    parts: list[Part] = []
    for question, verdict in evidence.verdicts.items():
        why = getattr(evidence, question).why
        style = "bold $text-warning" if verdict is Verdict.NO else "bold $foreground"
        parts += [(f"{MARKS[verdict]} {QUESTION_WORDS[question]}: {VERDICT_WORDS[verdict]}", style)]
        parts += [f". {why[:1].upper()}{why[1:]}.\n" if why else ".\n"]
        parts += [f"  {_ASKS[question]}\n"]
        parts += [
            part
            for name, value in _figures(evidence, question)
            for part in (f"  {name}  ", (f"{value}\n", "$foreground"))
        ]
        parts += [(f"  {_HELD_AGAINST[question]}\n\n", "")]
    return parts


def _figures(evidence: Evidence, question: str) -> list[tuple[str, str]]:
    """Return the figures behind an answer by their names, which have one width."""
    found: dict[str, str] = {}
    if question == "right":
        for fill, judged in evidence.right.fills.items():
            found[FILL_WORDS[fill]] = ranks_words(judged)
        if evidence.right.chance is not None:
            found["a guess is right"] = f"in {evidence.right.chance:.0%} of all choices of three cells"
    elif question == "better_than_chance":
        for curves in (evidence.better_than_chance.deletion, evidence.better_than_chance.insertion):
            if curves is not None:
                low, high = curves.random_areas.min(), curves.random_areas.max()
                found[f"{curves.kind} area"] = (
                    f"{curves.area:.3f}, random maps {low:.3f} to {high:.3f}, centre {curves.centre_area:.3f}"
                )
    elif question == "stable":
        stable = evidence.stable
        if stable.settled_cells is not None:
            found["settled cells"] = f"{stable.settled_cells} of 3"
        if stable.correlation is not None and stable.same_three is not None:
            found["copies"] = f"{stable.copies}"
            found["correlation"] = f"{stable.correlation:.2f}"
            found["same three"] = f"{stable.same_three:.0%} of them"
    else:
        for depth, value in evidence.of_this_network.correlations.items():
            found[_RANDOM[depth]] = f"rank correlation {value:.2f}"
        if evidence.of_this_network.images:
            found["images"] = f"{evidence.of_this_network.images}; measured once for this network and method"
    width = max(map(len, found), default=0)
    return [(f"{name:<{width}}", safe_text(value, limit=200)) for name, value in found.items()]
