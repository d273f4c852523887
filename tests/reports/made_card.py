"""A model card made by hand, with a check of every status."""

from ter.ratings.model_card import Check, ModelCard

CARD = ModelCard(
    checks=(
        Check(
            "convergence",
            "Did the calculation end where it should?",
            "passed",
            "largest gradient 1e-9",
            "caution above 1e-4",
            "The fit found its answer.",
        ),
        Check(
            "calibration_overall",
            "Did as many recover as predicted?",
            "caution",
            "51.2% recovered, 50.1% predicted",
            "caution beyond 2 standard errors",
            "A few more patients recovered than predicted.",
            "Look again next month.",
        ),
        Check(
            "spread",
            "Do therapists differ as the model thinks?",
            "failed",
            "spread 1.9 times that of the model",
            "failure above 1.5 times",
            "Therapists differ more than the model says.",
            "Ask the analysts.",
        ),
        Check("influence", "Does one therapist pull all the others?", "not_run", "", "", "Nobody looked."),
    ),
    facts=(("Brier score", "0.212"), ("AUC", "0.69 (0.67 to 0.71)")),
    accepted=("spread",),
)
