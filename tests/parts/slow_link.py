# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A link of a length that tests choose, between servers and their database.

It carries TCP connections on loopback and holds back what it carries, so that a database on
the same machine is as far away as one in another region.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_CHUNK = 65536
_END_SECONDS = 10


@dataclass
class Link:
    """A link to a port; `round_trip` is the seconds that there and back take.

    `wakes_in` is how many seconds a database takes to wake up that sleeps at its other end;
    `dropped` counts the connections that it broke off meanwhile, if it does so.
    """

    port: int
    target: int
    round_trip: float = 0.0
    wakes_in: float = 0.0
    dropped: int = 0
    _asleep: bool = False
    _drops: bool = False
    _awake_at: float = 0.0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, repr=False)
    _ends: list[asyncio.StreamWriter] = field(default_factory=list, repr=False)

    def fall_asleep(self, seconds: float, *, drops: bool = False) -> None:
        """Let the database sleep until somebody connects, and wake up so many seconds later.

        Who connects meanwhile waits, or is dropped.
        """
        self.wakes_in = seconds
        self._asleep, self._drops = True, drops

    async def serve(self, ready: threading.Event, over: asyncio.Event) -> None:
        """Carry connections until it is over."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        async with server:
            ready.set()
            await over.wait()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for end in self._ends:
            end.transport.abort()
        # They close in the loop's next round.
        await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection; where the other end is down it is refused, as without a link."""
        self._ends.append(writer)
        if not await self._wake():
            self.dropped += 1
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._ends.append(far_writer)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            self._start(self._carry(source, sink))

    async def _wake(self) -> bool:
        """Wait as long as the database wakes, which the first connection makes it do.

        Returns False at once if it drops who connects meanwhile.
        """
        loop = asyncio.get_running_loop()
        if self._asleep:
            self._asleep = False
            self._awake_at = loop.time() + self.wakes_in
        left = self._awake_at - loop.time()
        if self._drops and left > 0:
            return False
        await asyncio.sleep(max(0.0, left))
        return True

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine; the loop itself holds no strong reference to its tasks."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Carry one direction, each piece so late as it came in."""
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self._start(_deliver(pieces, sink))
        data = b"-"
        while data:
            try:
                data = await source.read(_CHUNK)
            except OSError:
                # Reset by one end: the other learns it as an end.
                data = b""
            pieces.put_nowait((loop.time() + self.round_trip / 2, data))


async def _deliver(pieces: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter) -> None:
    """Write pieces at their times, until an empty one ends it."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while True:
            due, data = await pieces.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                break
            sink.write(data)
            await sink.drain()
    sink.close()


@contextmanager
def link(port: int, target: int) -> Iterator[Link]:
    """Carry connections from one loopback port to another while the block runs."""
    made = Link(port, target)
    ready = threading.Event()
    loop, over = asyncio.new_event_loop(), asyncio.Event()

    def run() -> None:
        loop.run_until_complete(made.serve(ready, over))
        loop.close()

    thread = threading.Thread(target=run, name="link", daemon=True)
    thread.start()
    if not ready.wait(_END_SECONDS):
        raise RuntimeError(f"Nothing could listen on 127.0.0.1 port {port}.")
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(_END_SECONDS)
