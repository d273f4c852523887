import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# Machines are noisy: how long an example takes is no result.
settings.register_profile("ter", deadline=None)
settings.load_profile("ter")

# A shell without job control ignores interrupts in the background, and so would all that it starts there.
# Some tests interrupt what they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Real data with the answers of other programs; it is not part of the project."""
    folder = Path(os.environ.get("TER_REFERENCE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        if os.environ.get("TER_REFERENCE_REQUIRED"):
            pytest.fail(f"the reference data must be present here, and are not in {folder}")
        pytest.skip(f"no reference data in {folder}: set TER_REFERENCE_DATA")
    return folder
