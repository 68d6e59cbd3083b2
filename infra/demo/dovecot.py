"""A private Dovecot on free ports of the loopback; any user may log in with PASSWORD.

Runs as root (mail belongs to `nobody` then) and as an ordinary user (everything is that user's).
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from infra.machine import ports
from infra.machine.state import ROOT

STOP_SECONDS = 20.0
PASSWORD = "secret"  # noqa: S105  # of a server that only this machine can reach

_CONFIG = """
base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/log
instance_name = postern-test
protocols = imap
listen = 127.0.0.1
default_internal_user = {internal}
default_internal_group = {internal_group}
default_login_user = {login}
first_valid_uid = 1
mail_uid = {uid}
mail_gid = {gid}
mail_home = {base}/mail/%n
mail_location = maildir:~/Maildir:INDEX=~/index
mail_max_userip_connections = 500
mailbox_list_index = yes
auth_failure_delay = 0
disable_plaintext_auth = no
ssl = yes
ssl_cert = <{base}/cert.pem
ssl_key = <{base}/key.pem
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={base}/mail/%n
}}
service anvil {{
  {no_chroot}
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  {no_chroot}
}}
service imap-hibernate {{
  {no_chroot}
}}
service imap-login {{
  {no_chroot}
  service_count = 0
  process_min_avail = 1
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Drafts {{
    special_use = \\Drafts
    auto = subscribe
  }}
  mailbox Sent {{
    special_use = \\Sent
    auto = subscribe
  }}
  mailbox Trash {{
    special_use = \\Trash
    auto = subscribe
  }}
  mailbox Junk {{
    special_use = \\Junk
    auto = subscribe
  }}
  mailbox Archive {{
    special_use = \\Archive
    auto = subscribe
  }}
}}
{extra}
"""


def installed() -> bool:
    """Tell whether a Dovecot with IMAP is on this machine."""
    return _program() is not None and any(
        Path(place, "imap-login").exists() for place in ("/usr/lib/dovecot", "/usr/libexec/dovecot")
    )


@dataclass(slots=True)
class Dovecot:
    """One server: start, use `imap` (STARTTLS) or `imaps`, stop. `extra` is added to its configuration."""

    extra: str = ""
    # Sockets live here and their paths must stay short.
    base: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="dov")))
    imap: int = field(default_factory=ports.any_free)
    imaps: int = field(default_factory=ports.any_free)
    host: str = "localhost"
    _process: subprocess.Popen[bytes] | None = None

    @property
    def ca_file(self) -> Path:
        """The certificate authority to trust."""
        return self.base / "ca.pem"

    def start(self) -> Dovecot:
        """Start and wait until it greets."""
        self._write_files()
        program = _program()
        if program is None:
            raise FileNotFoundError("Dovecot is not installed")
        with (self.base / "start").open("wb") as output:
            command = [
                sys.executable,
                "-m",
                "infra.machine.leash",
                program,
                "-F",
                "-c",
                str(self.base / "conf"),
            ]
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
            )
        self._await_greeting()
        return self

    def stop(self) -> None:
        """Stop the server and remove all its files."""
        if self._process and self._process.stdin:
            self._process.stdin.close()  # it ends with whoever has started it, see `leash`
            self._process.wait(STOP_SECONDS)
            self._process = None
        shutil.rmtree(self.base, ignore_errors=True)

    def mailbox(self, user: str) -> Path:
        """Return where the Maildir of a user lies."""
        return self.base / "mail" / user.partition("@")[0] / "Maildir"

    def pid(self) -> int:
        """Return the process id of the master process."""
        return int((self.base / "run" / "master.pid").read_text())

    def _write_files(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca_file))
        certificate = authority.issue_cert("localhost", "127.0.0.1")
        certificate.private_key_pem.write_to_path(str(self.base / "key.pem"))
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(str(self.base / "cert.pem"), append=True)
        owner = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        (self.base / "mail").mkdir()
        os.chown(self.base / "mail", owner.pw_uid, owner.pw_gid)
        self.base.chmod(0o755)
        (self.base / "conf").write_text(self._config(owner))

    def _config(self, owner: pwd.struct_passwd) -> str:
        root = os.getuid() == 0
        internal = "dovecot" if root else owner.pw_name
        return _CONFIG.format(
            base=self.base,
            imap=self.imap,
            imaps=self.imaps,
            uid=owner.pw_uid,
            gid=owner.pw_gid,
            internal=internal,
            internal_group=grp.getgrgid(pwd.getpwnam(internal).pw_gid).gr_name,
            login="dovenull" if root else owner.pw_name,
            no_chroot="" if root else "chroot =",
            password=PASSWORD,
            extra=self.extra,
        )

    def _await_greeting(self) -> None:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                with socket.create_connection(("127.0.0.1", self.imap), timeout=2) as probe:
                    if b"OK" in probe.recv(200):
                        return
            except OSError:
                time.sleep(0.02)
        raise TimeoutError((self.base / "log").read_text())


def _program() -> str | None:
    return shutil.which("dovecot") or shutil.which("dovecot", path="/usr/sbin:/usr/local/sbin")
