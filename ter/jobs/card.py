"""What a job says of a model card on its way."""

from __future__ import annotations

from ter.jobs.progress import Progress
from ter.ratings.model_card import ModelCard


def tell_card(card: ModelCard, progress: Progress) -> None:
    """Note the verdict, and every check that failed or calls for care: what was found, and what to do.

    Parameters
    ----------
    card : ModelCard
    progress : Progress
    """
    progress.note(f"Should these ratings be trusted? {card.answer}")
    for check in card.checks:
        if check.status in ("caution", "failed"):
            progress.note(f"{check.status}: {check.name}: {check.figure}. {check.words} {check.remedy}")
