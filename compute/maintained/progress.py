"""Who waits for an upper to pass a time.

Uppers are computed when they are asked for: a dataflow with nothing to do is as far as its inputs
are, so a commit that touches none of them costs it nothing. Hence nobody is told of an upper's
every move. Whoever needs one to pass a time says so here, and is called when something that could
have moved it has happened.
"""

import asyncio
from collections.abc import Callable

from core.ids import Timestamp

UpperOf = Callable[[], Timestamp]


class Progress:
    """One for a replica. One event loop; not thread-safe.

    `generation` changes whenever an upper may have moved, so that a computed one can be remembered
    as long as it stays.
    """

    def __init__(self) -> None:
        self.generation = 0
        self._waiting: dict[object, tuple[UpperOf, Timestamp, Callable[[], None]]] = {}

    def moved(self) -> None:
        """Some upper may have moved: call whoever waited for that."""
        self.generation += 1
        if not self._waiting:
            return
        passed = [token for token, (upper_of, ts, _) in self._waiting.items() if upper_of() > ts]
        for token in passed:
            entry = self._waiting.pop(token, None)
            if entry is not None:
                entry[2]()

    def when_past(self, upper_of: UpperOf, ts: Timestamp, callback: Callable[[], None]) -> object:
        """Call `callback` once, soon after `upper_of()` > `ts`; never within this call. Returns
        what `forget` takes. The callback must do no more than wake somebody."""
        token = object()
        self._waiting[token] = (upper_of, ts, callback)
        return token

    def forget(self, token: object) -> None:
        """Do not call any more; nothing happens if it was called."""
        self._waiting.pop(token, None)

    async def wait_past(self, upper_of: UpperOf, ts: Timestamp) -> None:
        """Until `upper_of()` > `ts`."""
        passed = asyncio.Event()
        while upper_of() <= ts:
            passed.clear()
            token = self.when_past(upper_of, ts, passed.set)
            try:
                await passed.wait()
            finally:
                self.forget(token)
