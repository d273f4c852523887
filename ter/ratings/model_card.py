"""The model card: one page on whether this month's ratings should be trusted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from html import escape
from typing import Final, Literal

import pandas as pd

from ter.errors import FitError, OptionError
from ter.options import CHECKS, CheckName, CheckStatus

Verdict = Literal["trust", "care", "unknown", "do_not_trust"]

#: The answer to "should these ratings be trusted this month?", by verdict.
ANSWERS: Final[dict[Verdict, str]] = {
    "trust": "Yes. These ratings can be trusted.",
    "care": "Yes, with care. Read the cautions below before you use a rating.",
    "unknown": "Not known. Too little was checked to tell.",
    "do_not_trust": "No. These ratings should not be trusted: a check failed.",
}


@dataclass(frozen=True)
class Check:
    """One check of the model, with its figure and its bar.

    Attributes
    ----------
    name : str
        The word by which a failure is accepted: ``"calibration_by_decile"``.
    title : str
        What is asked, in plain words.
    status : {"passed", "caution", "failed", "not_run"}
    figure : str
        What was found.
    bar : str
        What would be a caution, and what a failure.
    words : str
        What that means, in a sentence.
    remedy : str
        What to do; empty if nothing is wrong.
    """

    name: CheckName
    title: str
    status: CheckStatus
    figure: str
    bar: str
    words: str
    remedy: str = ""


@dataclass(frozen=True, repr=False)
class ModelCard:
    """All checks of a month's model, and what they amount to. No figure of a single therapist is in it.

    Attributes
    ----------
    checks : tuple of Check
        In the order of `ter.options.CHECKS`.
    facts : tuple of (str, str)
        What stands beside the checks, without a bar: a label and a text.
    accepted : tuple of str
        Checks whose failure does not stop the publication, by name.
    """

    checks: tuple[Check, ...]
    facts: tuple[tuple[str, str], ...]
    accepted: tuple[CheckName, ...] = ()

    def __post_init__(self) -> None:
        unknown = [name for name in self.accepted if name not in CHECKS]
        if unknown:
            raise OptionError(f"No check is called {', '.join(unknown)}. There are: {', '.join(CHECKS)}.")

    def accepting(self, names: Iterable[CheckName]) -> ModelCard:
        """Give the same card with failures accepted by name; unknown names are an OptionError."""
        return replace(self, accepted=tuple(dict.fromkeys((*self.accepted, *names))))

    @property
    def failed(self) -> tuple[CheckName, ...]:
        """Names of all checks that failed, accepted or not."""
        return tuple(check.name for check in self.checks if check.status == "failed")

    @property
    def overridden(self) -> tuple[CheckName, ...]:
        """Names of the failed checks that were accepted."""
        return tuple(name for name in self.failed if name in self.accepted)

    @property
    def skipped(self) -> int:
        """How many checks were not run."""
        return sum(check.status == "not_run" for check in self.checks)

    @property
    def verdict(self) -> Verdict:
        """Whether to trust the ratings. An accepted failure is still a failure here.

        Where half of the checks or more were not run, and none failed, it is not known.
        """
        if self.failed:
            return "do_not_trust"
        if 2 * self.skipped >= len(self.checks):
            return "unknown"
        cautious = any(check.status == "caution" for check in self.checks)
        return "care" if cautious else "trust"

    @property
    def answer(self) -> str:
        """The answer to "should these ratings be trusted this month?", in words."""
        answer = ANSWERS[self.verdict]
        if self.skipped:
            if self.verdict == "trust":
                answer = "Yes, as far as was checked."
            were = "was" if self.skipped == 1 else "were"
            answer += f" {self.skipped} of {len(self.checks)} checks {were} not run."
        if self.overridden:
            names = ", ".join(self.overridden)
            answer += f" They are published because the failure was accepted by name: {names}."
        return answer

    def refuse_failed(self) -> None:
        """Stop where a check failed that was not accepted.

        Raises
        ------
        FitError
            Naming the checks, what was found, and how to go on.
        """
        stops = [c for c in self.checks if c.status == "failed" and c.name not in self.accepted]
        if stops:
            found = " ".join(f"{c.name}: {c.figure}. {c.remedy}" for c in stops)
            options = " ".join(f"--accept-failed {c.name}" for c in stops)
            raise FitError(
                f"The model failed its checks, and so must not be published. {found} "
                f"Whoever answers for it may publish it all the same: {options}."
            )

    def to_frame(self) -> pd.DataFrame:
        """Give the checks as a table.

        Returns
        -------
        DataFrame
            By ``check``: ``title``, ``status``, ``figure``, ``bar``, ``words``, ``remedy``, ``accepted``.
        """
        return pd.DataFrame(
            [
                {**vars(check), "accepted": check.name in self.accepted and check.status == "failed"}
                for check in self.checks
            ]
        ).rename(columns={"name": "check"}).set_index("check")  # fmt: skip

    def summary(self) -> str:
        """Say it all in lines of text."""
        lines = [f"Should these ratings be trusted? {self.answer}"]
        for check in self.checks:
            mark = check.status.replace("_", " ")
            lines.append(f"{mark:>8}  {check.name}: {check.figure}. {check.words} {check.remedy}".rstrip())
        lines += [f"{label}: {text}" for label, text in self.facts]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<ter.ModelCard: {self.answer}>"

    def _repr_html_(self) -> str:
        facts = "".join(f"<li>{escape(label)}: {escape(text)}</li>" for label, text in self.facts)
        return f"<p>{escape(self.answer)}</p>{self.to_frame().to_html()}<ul>{facts}</ul>"
