"""What is asked for beside the case mix: one clear error where a table cannot give it."""

import pandas as pd
import pytest

from ter.errors import DataError, OptionError
from ter.features import build_design

TABLE = pd.DataFrame(
    {
        "recovery": [0, 1, 1, 0],
        "therapist": ["a", "a", "b", "b"],
        "region": ["n", "s", None, "s"],
        "gender": ["f", "m", "f", "m"],
        "n_sessions": [3, 4, 5, 6],
        "end_reason": ["completed", "dropped_out", "completed", "completed"],
    }
)


@pytest.mark.parametrize("by_content", [True, False])
@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"further": "gone"}, DataError, 'no column "gone", which the further factor names'),
        ({"further": "region"}, DataError, "give each a further factor"),
        ({"further": "end_reason"}, OptionError, "partly the therapist's own work"),
        ({"severity": "gone"}, DataError, 'no column "gone", which severity_slope names'),
        ({"severity": "gender"}, DataError, "holds .*, not numbers: name a score, such as phq9_first"),
        ({"severity": "n_sessions"}, OptionError, "not measured before"),
        ({"severity": "recovery"}, OptionError, "only one"),
    ],
)
def test_what_a_table_cannot_give_is_one_clear_error(options, error, says, by_content):
    with pytest.raises(error, match=says):
        build_design(
            TABLE, case_mix=None, outcome="recovery", therapist="therapist", by_content=by_content, **options
        )
