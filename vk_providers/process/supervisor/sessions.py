"""Exec and attach sessions, with flow control by the client's credits.

In: input frames of a session's channel. Out: frames of stdout and stderr, as many bytes as the
client permits, and one ``exit`` note at the end. A command without a client is killed
(`ExecCommand.close`); an attached client that reads no output for 5 s is disconnected, so that it
does not block the container.
"""

from __future__ import annotations

from . import frames
from .children import exit_code_of
from .frames import CHUNK, STDERR, STDIN, STDOUT, WINDOW, ProtocolError
from .pipes import OutputReader, StdinWriter, open_streams, resize
from .spawn import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .children import Child, Children
    from .container_process import ContainerProcess
    from .loop import EventLoop, Timer
    from .spawn import Command

    Send = Callable[[bytes], None]

__all__ = ["AttachedClient", "ExecCommand", "SessionChannel"]

_STALL = 5.0
"""Seconds for which an attached client may block a container's output."""


class SessionChannel:
    """The flow control of a session's channel: credits and received bytes."""

    def __init__(self, number: int, send: Send) -> None:
        self._number = number
        self._send = send
        self._credits = {STDOUT: WINDOW, STDERR: WINDOW}
        self._unwritten = 0

    def room(self, stream: int) -> int:
        """Return how many bytes of ``stream`` may be sent now."""
        return min(CHUNK, self._credits[stream])

    def send(self, stream: int, chunk: bytes) -> None:
        """Send bytes, not more than `room`."""
        self._credits[stream] -= len(chunk)
        self._send(frames.frame(stream, self._number, chunk))

    def allow(self, content: bytes) -> None:
        """Add a credit of the client; raises ProtocolError."""
        stream, count = frames.read_credit(content)
        if stream not in self._credits:
            raise ProtocolError(f"credit for stream {stream}")
        self._credits[stream] += count

    def received(self, content: bytes) -> None:
        """Count received stdin; raises ProtocolError where it exceeds the window."""
        self._unwritten += len(content)
        if self._unwritten > WINDOW:
            raise ProtocolError("stdin exceeds the window")

    def written(self, count: int) -> None:
        """Send credit for ``count`` bytes of stdin that were written."""
        self._unwritten -= count
        self._send(frames.credit_frame(self._number, STDIN, count))

    def exit(self, exit_code: int, signal: int, message: str = "") -> None:
        """Send the exit notification."""
        note = {"note": "exit", "channel": self._number, "message": message}
        self._send(frames.json_frame({**note, "exit_code": exit_code, "signal": signal}))


class ExecCommand:
    """A command in a container; it ends with its session."""

    def __init__(
        self,
        loop: EventLoop,
        children: Children,
        *,
        owner: str,
        command: Command,
        channel: SessionChannel,
        stdin: bool,
        tty: bool,
        size: tuple[int, int],
        over: Callable[[], None],
    ) -> None:
        """Start the command; ``over`` is called at its end, also after a failed start."""
        self._children = children
        self._over = over
        self._child: Child | None = None
        self._stdin: StdinWriter | None = None
        self._readers: list[OutputReader] = []
        self._terminal = -1
        self._tty = tty
        self.channel = channel
        streams = open_streams(stdin=stdin, terminal=tty, size=size)
        try:
            self._child = children.start(owner, command, streams.childs, terminal=tty)
        except StartError as error:
            streams.close()
            text, exit_code = str(error), error.exit_code
            loop.soon(lambda: self._refuse(text, exit_code))
            return
        finally:
            streams.close_childs()
        self._terminal = streams.stdout if tty else -1
        self._stdin = StdinWriter(loop, streams.stdin, terminal=tty) if stdin else None
        self._readers = [self._reader(loop, STDOUT, streams.stdout)]
        if streams.stderr >= 0:
            self._readers.append(self._reader(loop, STDERR, streams.stderr))
        loop.task(self._finish(self._child))

    def feed(self, content: bytes) -> None:
        """Write stdin."""
        self.channel.received(content)
        if self._stdin is None:
            self.channel.written(len(content))
        else:
            self._stdin.write(content, self.channel.written)

    def end_input(self) -> None:
        """Close stdin."""
        if self._stdin is not None:
            self._stdin.end()

    def resume(self) -> None:
        """Continue after new credit."""
        for outlet in self._readers:
            outlet.resume()

    def resize(self, width: int, height: int) -> None:
        """Set the size of the terminal."""
        if self._terminal >= 0 and not self._readers[0].ended.done:
            resize(self._terminal, width, height)

    def close(self) -> None:
        """Kill the command and its descendants."""
        for outlet in self._readers:
            outlet.close()
        if self._child is not None:
            self._children.kill_command(self._child)

    def _reader(self, loop: EventLoop, stream: int, fd: int) -> OutputReader:
        channel = self.channel
        return OutputReader(
            loop,
            fd,
            room=lambda: channel.room(stream),
            take=lambda chunk: channel.send(stream, chunk),
        )

    def _refuse(self, message: str, exit_code: int) -> None:
        self.channel.send(STDOUT if self._tty else STDERR, f"{message}\n".encode()[:CHUNK])
        self.channel.exit(exit_code, 0, message)
        self._over()

    async def _finish(self, child: Child) -> None:
        status = await child.exited
        for outlet in self._readers:
            outlet.finish()
        for outlet in self._readers:
            await outlet.ended
        if self._stdin is not None:
            self._stdin.close()
        self.channel.exit(*exit_code_of(status))
        self._over()
        self._children.release(child, terminal=self._tty)


class AttachedClient:
    """A client attached to the streams of a container's main process."""

    def __init__(
        self,
        loop: EventLoop,
        run: ContainerProcess,
        *,
        channel: SessionChannel,
        stdin: bool,
        over: Callable[[], None],
    ) -> None:
        """Attach from now on; ``over`` is called at the end of the session."""
        self._loop = loop
        self._run = run
        self._over = over
        self._stdin_once = run.plan["stdin_once"]
        self._stdin = run.stdin_writer if stdin else None
        self._stalls: dict[int, Timer] = {}
        self.channel = channel
        run.output_taps.append(self)

    def room(self, stream: int) -> int:
        """Return the room of the stream; a client without room for 5 s is disconnected."""
        room = self.channel.room(stream)
        if room == 0 and stream not in self._stalls:
            self._stalls[stream] = self._loop.after(_STALL, self._cut_off)
        return room

    def take(self, stream: int, chunk: bytes) -> None:
        """Send output of the container."""
        self.channel.send(stream, chunk)

    def container_ended(self, exit_code: int, signal: int) -> None:
        """End the session with the container."""
        self._leave()
        self.channel.exit(exit_code, signal)
        self._over()

    def feed(self, content: bytes) -> None:
        """Write stdin."""
        self.channel.received(content)
        if self._stdin is None:
            self.channel.written(len(content))
        else:
            self._stdin.write(content, self.channel.written)

    def end_input(self) -> None:
        """End this client's stdin; with stdinOnce, close the container's stdin."""
        if self._stdin_once and self._stdin is not None:
            self._stdin.end()

    def resume(self) -> None:
        """Continue after new credit."""
        for stream in [each for each in self._stalls if self.channel.room(each) > 0]:
            self._stalls.pop(stream).cancel()
        self._run.resume()

    def resize(self, width: int, height: int) -> None:
        """Set the size of the container's terminal."""
        self._run.resize(width, height)

    def close(self) -> None:
        """Detach; the container keeps running."""
        self.end_input()
        self._leave()

    def _leave(self) -> None:
        for timer in self._stalls.values():
            timer.cancel()
        if self in self._run.output_taps:
            self._run.output_taps.remove(self)
            self._run.resume()

    def _cut_off(self) -> None:
        self._leave()
        self.channel.exit(1, 0, f"disconnected: read no output for {_STALL:g} s")
        self._over()


if TYPE_CHECKING:
    Session = ExecCommand | AttachedClient
