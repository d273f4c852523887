import pytest

from ter.errors import OptionError
from ter.features import Factor, Spline, factor, interaction, linear, spline


def test_names_and_columns():
    both = interaction(linear("age"), factor("urban"))
    assert (both.name, both.reads) == ("age:urban", ("age", "urban"))
    assert spline("phq9_first") == Spline("phq9_first", 4)
    assert factor("step", ["2", "3"]) == Factor("step", ("2", "3"))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: linear(""), "name of a column"),
        (lambda: linear(3), "name of a column"),
        (lambda: spline("age", df=2), "3 or more"),
        (lambda: spline("age", df=4.0), "whole number"),
        (lambda: spline("age", df=True), "whole number"),
        (lambda: factor("step", levels=[2, 3]), "must be texts"),
        (lambda: factor("step", levels=[]), "must be texts"),
        (lambda: factor("step", levels=["2", "2"]), "named twice"),
        (lambda: factor("step", levels="23"), "list of texts"),
        (lambda: interaction(linear("age"), "sex"), "'sex' is no term"),
        (lambda: interaction(interaction(linear("a"), linear("b")), linear("c")), "is no term"),
        (lambda: interaction(linear("age"), spline("age")), 'both terms read the column "age"'),
    ],
)
def test_refuses_what_is_no_term(make, says):
    with pytest.raises(OptionError, match=says):
        make()
