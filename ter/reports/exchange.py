"""Exchanging two directories in one step, where the system can."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path
from typing import Final

# Of Linux: <fcntl.h> and <linux/fs.h>.
_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
#: What kernels and file systems answer that cannot exchange.
_CANNOT: Final = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}


def exchange(a: Path, b: Path) -> bool:
    """Exchange two existing paths atomically (``renameat2`` of Linux).

    Parameters
    ----------
    a, b : Path
        On one file system.

    Returns
    -------
    bool
        False where the system cannot do it; then nothing was changed.

    Raises
    ------
    OSError
        The exchange is possible but failed.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT:
        return False
    raise OSError(code, os.strerror(code), str(a), None, str(b))
