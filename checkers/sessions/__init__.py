"""Session guarantees (Terry et al. 1994): `Sessions().check(history)`.

check     which of the four hold, each by itself and all at once
order     what each guarantee, and the data, say of the order of writes
siblings  the same where a read gives several values at once
"""

from checkers.sessions.check import Sessions
from checkers.sessions.siblings import SiblingSessions

__all__ = ["Sessions", "SiblingSessions"]
