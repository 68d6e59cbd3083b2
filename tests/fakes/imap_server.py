"""An IMAP server without mail: it lets clients log in, sit in IDLE, and be told things.

`python -m tests.fakes.imap_server CERTIFICATE_FILE|-` serves on a free port, prints it, and obeys lines on
standard input: `say TEXT` tells every idling client, `count` prints logins so far and clients in IDLE.
"""

from __future__ import annotations

import asyncio
import asyncio.sslproto
import contextlib
import ssl
import sys
from dataclasses import dataclass, field

# Else each connection costs a quarter megabyte here.
asyncio.sslproto.SSLProtocol.max_size = 16_384


@dataclass
class FakeImap:
    """Behaves well; tests change `answers` (by command name, after the tag) or override `answer`."""

    tls: ssl.SSLContext | None = None
    capabilities: str = "IMAP4rev1 IDLE"
    greeting: bytes = b"* OK ready\r\n"
    answers: dict[str, bytes | None] = field(default_factory=dict)
    logins: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    connections: int = 0
    idling: dict[asyncio.StreamWriter, str] = field(default_factory=dict)
    port: int = 0

    async def start(self, port: int = 0) -> FakeImap:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, backlog=1000)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Refuse connections and cut those that stand."""
        self._server.close()
        for writer in list(self.idling):
            writer.transport.abort()

    def say(self, text: bytes, user: str | None = None) -> None:
        """Tell every client in IDLE (or one user's)."""
        for writer, name in list(self.idling.items()):
            if user in (None, name):
                writer.write(text)

    def answer(self, command: str, arguments: list[str]) -> bytes | None:
        """Return what follows the untagged part; None is silence. TAG stands for the tag."""
        if command in self.answers:
            return self.answers[command]
        if command == "CAPABILITY":
            offers = self.capabilities + (" STARTTLS" if self.tls else "")
            return f"* CAPABILITY {offers}\r\n".encode() + b"TAG OK done\r\n"
        if command == "EXAMINE":
            return b"* 2 EXISTS\r\n* OK [UIDVALIDITY 1] fine\r\nTAG OK [READ-ONLY] open\r\n"
        if command == "IDLE":
            return b"+ idling\r\n"
        return b"TAG OK done\r\n"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.write(self.greeting)
            await self._converse(reader, writer)
        self.idling.pop(writer, None)
        writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        user, waiting = "", b""
        while line := (await reader.readline()).decode().split():
            if line[0] == "DONE":
                self.idling.pop(writer, None)
                writer.write(self.answers.get("DONE", waiting + b" OK idled\r\n") or b"")
                continue
            tag, command, *arguments = line
            self.commands.append(command)
            if command == "LOGIN":
                user = arguments[0].strip('"')
                self.logins.append(user)
            if command == "AUTHENTICATE":
                writer.write(b"+ \r\n")
                await reader.readline()
            answer = self.answer(command, arguments)
            if command == "IDLE" and answer is not None:
                waiting = tag.encode()
                self.idling[writer] = user
            writer.write((answer or b"").replace(b"TAG", tag.encode()))
            if command == "LOGOUT":
                return
            if command == "STARTTLS" and self.tls:
                await writer.start_tls(self.tls)


async def _main(certificate: str) -> None:
    context = None
    if certificate != "-":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    server = await FakeImap(context).start()
    print(server.port, flush=True)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    while line := (await commands.readline()).decode().strip():
        if line.startswith("say "):
            server.say(line.removeprefix("say ").encode() + b"\r\n")
        else:
            print(len(server.logins), len(server.idling), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
