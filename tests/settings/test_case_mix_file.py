import pytest

from ter.errors import OptionError
from ter.features import CaseMix, factor, interaction, linear, spline
from ter.settings import read_case_mix


def read(tmp_path, text):
    path = tmp_path / "case_mix.toml"
    path.write_text(text)
    return read_case_mix(path)


def test_every_kind_of_term_is_read(tmp_path):
    text = """
        [[term]]
        spline = "phq9_first"
        df = 5

        [[term]]
        spline = "gad7_first"

        [[term]]
        linear = "age"

        [[term]]
        factor = "employment"
        levels = ["employed", "unemployed"]

        [[term]]
        interaction = [{ linear = "wait_days" }, { factor = "gender" }]
    """
    assert read(tmp_path, text) == CaseMix(
        [
            spline("phq9_first", df=5),
            spline("gad7_first"),
            linear("age"),
            factor("employment", levels=["employed", "unemployed"]),
            interaction(linear("wait_days"), factor("gender")),
        ]
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no terms"),
        ("term = 3\n", "has no terms"),
        ('term = ["age"]\n', "has no terms"),
        ('[[terms]]\nlinear = "age"\n', 'no key "terms"; did you mean "term"'),
        ("[[term]]\ndf = 4\n", "exactly one of the keys spline, linear, factor, interaction"),
        ('[[term]]\nlinear = "age"\nspline = "age"\n', "exactly one"),
        ('[[term]]\nlinaer = "age"\n', 'term 1: there is no key "linaer"; did you mean "linear"'),
        ('[[term]]\nlinear = "age"\ndf = 4\n', 'no key "df"'),
        ('[[term]]\nspline = "age"\ndf = "4"\n', "df must be"),
        ('[[term]]\nlinear = 4\n', "name of a column"),
        ('[[term]]\nfactor = "gender"\nlevels = "female"\n', "list of texts"),
        ('[[term]]\ninteraction = "age"\n', "interaction is of two terms"),
        ('[[term]]\ninteraction = [{ linear = "age" }]\n', "interaction is of two terms"),
        ('[[term]]\ninteraction = [{ linear = "age" }, { interaction = [{ linear = "wait_days" }, '
         '{ factor = "gender" }] }]\n', "neither an interaction itself"),
        ('[[term]]\nlinear = "age"\n[[term]]\nlinear = "age"\n', "more than once: age"),
        ('[[term]]\nlinear = "n_sessions"\n', "after the patient was allocated"),
        ('[[term]]\nfactor = "patient_id"\n', "identifies a row"),
    ],
)  # fmt: skip
def test_what_makes_no_case_mix_is_refused(text, words, tmp_path):
    with pytest.raises(OptionError, match=words):
        read(tmp_path, text)
