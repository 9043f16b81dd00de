"""A process that owns an embedded PostgreSQL, to be killed by a test.

Prints `<postmaster pid> <url>` when the server is ready, then waits for SIGTERM.
"""

import asyncio
import signal
import sys
from pathlib import Path

from headwater.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError


async def _own(directory: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await EmbeddedPostgres.start(directory)
    print(server.pid, server.url, flush=True)
    await stop.wait()
    await server.stop()


if __name__ == "__main__":
    try:
        asyncio.run(_own(Path(sys.argv[1])))
    except EmbeddedPostgresError as error:
        sys.exit(str(error))
