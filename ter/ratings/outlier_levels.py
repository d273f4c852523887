"""The levels of the UK's national clinical audits: alert beyond 2 standard deviations, alarm beyond 3.

Department of Health and HQIP (2011) Detection and Management of Outliers; HQIP (2017, 2021, January 2024)
NCAPOP Outlier Guidance. They are meant for organisations, expressly not for individual practitioners. Of a
therapist a level is a reason to look at the data and at the case mix first, and no verdict.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

OutlierLevel = Literal["low alarm", "low alert", "expected", "high alert", "high alarm"]
OUTLIER_LEVELS: Final = get_args(OutlierLevel)
#: Standard deviations from the target.
ALERT: Final = 2.0
ALARM: Final = 3.0


def outlier_levels(z: FloatArray) -> list[OutlierLevel | None]:
    """Say how far out each unit lies.

    Parameters
    ----------
    z : ndarray, shape (J,)
        z-scores against the target, overdispersion allowed for: `Funnel.z_adjusted` or `marginal_z`. High is
        good.

    Returns
    -------
    list, length J
        "low alarm" below -3, "low alert" below -2, "high alert" above 2, "high alarm" above 3, else
        "expected"; None of NaN. Of units on target 2.3% are beyond 2 on either side, 0.13% beyond 3.
    """
    return [
        None
        if np.isnan(value)
        else OUTLIER_LEVELS[
            int(value >= -ALARM) + int(value >= -ALERT) + int(value > ALERT) + int(value > ALARM)
        ]
        for value in z
    ]
