"""TCP connections and HTTP answers for probes and hooks, without blocking the loop.

A redirect counts as success and is not followed. TLS is loaded for the first https probe (3 MB);
like in the kubelet, certificates are not verified.
"""

from __future__ import annotations

import errno
import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

    from .loop import EventLoop
    from .plan import HTTPGetAction

__all__ = ["connect", "get"]

_MOST = 10 * 1024
"""Maximum bytes of a response that are read."""


async def connect(loop: EventLoop, address: str, port: int) -> socket.socket:
    """Return a connection to a numeric address; raises OSError. Cancelling it closes it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        number = connection.connect_ex((address, port))
        if number == errno.EINPROGRESS:
            await loop.writable(connection.fileno())
            number = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number))
    except BaseException:
        connection.close()
        raise
    return connection


async def get(loop: EventLoop, address: str, http: HTTPGetAction) -> tuple[int, str]:
    """Return the status code of a GET and the answer's text; raises OSError or ValueError."""
    connection = await connect(loop, address, http["port"])
    try:
        if http["scheme"] == "https":
            connection = await _encrypted(loop, connection, http["host"])
        await _send(loop, connection, _request(http))
        return _parsed(await _answer(loop, connection))
    finally:
        connection.close()


def _request(http: HTTPGetAction) -> bytes:
    host = f"[{http['host']}]" if ":" in http["host"] else http["host"]
    headers = {"host": ("Host", f"{host}:{http['port']}")}
    headers["user-agent"] = ("User-Agent", "kube-probe/vk")
    headers["accept"] = ("Accept", "*/*")
    headers |= {name.lower(): (name, value) for name, value in http["headers"]}
    headers["connection"] = ("Connection", "close")
    lines = [f"GET {http['path']} HTTP/1.1", *(f"{n}: {v}" for n, v in headers.values()), "", ""]
    return "\r\n".join(lines).encode()


def _parsed(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.partition(b"\r\n")[0].split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise ValueError(f"malformed HTTP response: {answer[:80]!r}")
    return int(words[1]), body.decode(errors="replace")


async def _encrypted(loop: EventLoop, connection: socket.socket, host: str) -> ssl.SSLSocket:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    encrypted = context.wrap_socket(connection, server_hostname=host, do_handshake_on_connect=False)
    try:
        while True:
            try:
                encrypted.do_handshake()
            except ssl.SSLWantReadError:
                await loop.readable(encrypted.fileno())
            except ssl.SSLWantWriteError:
                await loop.writable(encrypted.fileno())
            else:
                return encrypted
    except BaseException:
        encrypted.close()
        raise


async def _send(loop: EventLoop, connection: socket.socket, content: bytes) -> None:
    while content:
        try:
            content = content[connection.send(content) :]
        except OSError as error:
            if not await _wait(loop, connection, error, writing=True):
                raise


async def _answer(loop: EventLoop, connection: socket.socket) -> bytes:
    content = b""
    while len(content) < _MOST and not _is_complete(content):
        try:
            chunk = connection.recv(_MOST)
        except OSError as error:
            if await _wait(loop, connection, error, writing=False):
                continue
            if content:  # output before the connection was closed counts as a response
                return content
            raise
        if not chunk:
            return content
        content += chunk
    return content


def _is_complete(content: bytes) -> bool:
    """Return whether the response is complete, for servers that keep the connection open."""
    head, end, body = content.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length" and value.strip().isdigit():
            return bool(end) and len(body) >= int(value)
        if name == b"transfer-encoding":
            return body.endswith(b"0\r\n\r\n")
    return False


async def _wait(
    loop: EventLoop, connection: socket.socket, error: OSError, *, writing: bool
) -> bool:
    """Wait for the readiness that ``error`` requires; False: it is a real error."""
    # TLS errors are recognised by name, since importing ssl would cost 3 MB.
    name = type(error).__name__
    if name == "SSLWantWriteError" or (writing and isinstance(error, BlockingIOError)):
        await loop.writable(connection.fileno())
    elif name == "SSLWantReadError" or isinstance(error, BlockingIOError):
        await loop.readable(connection.fileno())
    else:
        return False
    return True
