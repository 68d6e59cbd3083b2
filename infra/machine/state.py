"""What the local runtime keeps on disk, and where."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Home:
    """The directory of one instance (`.local`, or POSTERN_HOME)."""

    path: Path

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Home:
        """Return the home that the environment names."""
        env = os.environ if env is None else env
        return cls(Path(env.get("POSTERN_HOME") or ROOT / ".local").resolve())

    def prepare(self) -> None:
        """Make the directories, readable by their owner only."""
        for path in (self.path, self.emulator, self.checkpoints, self.logs):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.path == ROOT / ".local":  # another directory may be somebody's own
            self.path.chmod(0o700)

    @property
    def emulator(self) -> Path:
        """The emulator's state."""
        return self.path / "state"

    @property
    def checkpoints(self) -> Path:
        """How far each stream has been read."""
        return self.path / "state" / "checkpoints"

    @property
    def clean(self) -> Path:
        """There only after an orderly stop."""
        return self.path / "state" / "clean.json"

    @property
    def logs(self) -> Path:
        """One log per process."""
        return self.path / "logs"

    @property
    def info(self) -> Path:
        """How to reach the running instance."""
        return self.path / "postern.json"

    @property
    def children(self) -> Path:
        """Process ids by name."""
        return self.path / "children.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor."""
        return self.path / "lock"

    @property
    def ports(self) -> Path:
        """The ports that were chosen, by name."""
        return self.path / "ports.json"

    @property
    def mailbox(self) -> Path:
        """How to reach the demo's mailbox."""
        return self.path / "mailbox.json"

    @property
    def ca(self) -> Path:
        """The certificate to trust."""
        return self.path / "ca.pem"

    @property
    def certificate(self) -> Path:
        """Key and certificate of the HTTPS server."""
        return self.path / "server.pem"

    def secret(self, name: str) -> str:
        """Return a random secret made once and kept."""
        path = self.path / f"{name}.secret"
        if not path.exists():
            write(path, secrets.token_urlsafe(32))
        return path.read_text()


def write(path: Path, text: str) -> None:
    """Replace a file at once; only its owner may read it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)


def write_json(path: Path, content: Any) -> None:
    """Replace a JSON file at once."""
    write(path, json.dumps(content, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Return a JSON file's content, None if it is missing or half a file."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
