"""Which code this is, and whose kept work it may take for its own.

Committed code finds what was kept by VERSIONs: whoever changes what code makes raises one before
the commit. Code that nobody has committed may have raised none yet, so what it made is used again
by the very same code alone. So what a record used is committed where the record's own code is.
"""

import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from distill.runtime.work import ROOMS, code


class Origin(NamedTuple):
    """Of what is made.

    Attributes:
        digest: of the code, its libraries' versions included.
        commit: of this project's own repository. committed: whether the code is as committed.
            Both None outside of a checkout.
    """

    digest: str
    commit: str | None
    committed: bool | None

    def label(self) -> dict[str, Any]:
        """What a file says of the code that made its content."""
        return {"digest": self.digest, "committed": self.committed}


_known: Origin | None = None


def ours() -> Origin:
    """Of this code, as it was at the first call.

    A command calls it before its work: what is edited meanwhile is not what runs.
    """
    global _known
    if _known is None:
        _known = Origin(code(), *_asked())
    return _known


def adopt(parents: Origin) -> None:
    """Make ours that of the process that started this one, which may have been long ago."""
    global _known
    _known = parents


def usable(label: Any) -> bool:
    """Whether what a file holds can be taken for what this code would make, VERSIONs being equal.

    Files of earlier versions of the suite have no label (None): they were found by VERSION alone,
    and still are.
    """
    if not isinstance(label, dict):
        return label is None
    return label.get("digest") == ours().digest or trusted(label.get("committed"))


def trusted(committed: bool | None) -> bool:
    """Whether work is taken of other code than this, which was committed, or not, or nobody knows.

    What is not known is enough for code of which it is not known either, or that is not committed.
    """
    return committed is True or (committed is None and not ours().committed)


def _asked() -> tuple[str | None, bool | None]:
    """The commit of this project's own repository, and whether the code is as committed."""
    here = Path(__file__).resolve().parent.parent.parent
    # In a hook of another repository these would name that one.
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*args: str) -> str | None:
        # Without the lock that `status` takes where it can: a commit meanwhile would fail.
        line = ["git", "--no-optional-locks", *args]
        try:
            done = subprocess.run(line, cwd=here, env=own, capture_output=True, text=True)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    top = git("rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != here:
        return None, None  # installed, or inside another project's repository
    changes = git("status", "--porcelain", "--untracked-files=no", "--", *ROOMS)
    # Also files that git is told to ignore: Python does not.
    strangers = git("ls-files", "--others", "--", *(f"{room}/*.py" for room in ROOMS))
    return git("rev-parse", "HEAD"), changes == "" and strangers == ""
