"""Cyrus IMAP, unpacked and not installed; everything it writes lies in one folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from infra.demo.dovecot import PASSWORD
from infra.machine import ports
from tests.servers.mailbox import Mailbox, Unavailable
from tests.servers.prepare import DEBIAN, libraries
from tests.servers.process import Running

_BIN = "usr/lib/cyrus/bin"
_DOMAIN = "cyrus.example"

_IMAPD = """
configdirectory: {base}/conf
partition-default: {base}/spool
defaultpartition: default
proc_path: {base}/proc
mboxname_lockpath: {base}/lock
cyrus_user: {owner}
unixhierarchysep: yes
altnamespace: yes
virtdomains: userid
defaultdomain: internal.invalid
allowplaintext: yes
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {base}/users
sasl_mech_list: PLAIN LOGIN
tls_server_cert: disabled
master_pid_file: {base}/pid
autocreate_quota: 0
autocreate_post: yes
autocreate_inbox_folders: Sent|Drafts|Trash|Junk
autocreate_subscribe_folders: Sent|Drafts|Trash|Junk
xlist-sent: Sent
xlist-drafts: Drafts
xlist-trash: Trash
xlist-junk: Junk
specialusealways: yes
specialuse_protect: \\Archive
"""

_MASTER = """
START {{
  recover cmd="{bin}/ctl_cyrusdb -C {base}/imapd.conf -r"
}}
SERVICES {{
  imap cmd="{bin}/imapd -C {base}/imapd.conf -U 30" listen="127.0.0.1:{port}" prefork=1
}}
"""


@dataclass(slots=True)
class Cyrus:
    """One server with IMAP; users without a domain get one. Nobody runs it if we are root, as it demands."""

    running: Running = field(default_factory=Running)
    port: int = field(default_factory=ports.any_free)
    root: Path = DEBIAN
    owner: str | None = field(default_factory=lambda: "nobody" if os.getuid() == 0 else None)

    def start(self) -> Cyrus:
        """Start and wait until it greets."""
        if not (DEBIAN / _BIN / "master").exists():
            raise Unavailable("Cyrus is not there: python -m tests.servers.prepare")
        base = self.running.base
        for name in ("socket", "proc", "log", "db", "lock", "user"):
            (base / "conf" / name).mkdir(parents=True)
        (base / "spool").mkdir()
        owner = self.owner or pwd.getpwuid(os.getuid()).pw_name
        (base / "imapd.conf").write_text(_IMAPD.format(base=base, owner=owner))
        if self.owner:
            self._give_to(self.owner)
        (base / "cyrus.conf").write_text(_MASTER.format(base=base, bin=self.root / _BIN, port=self.port))
        files: list[str | Path] = ["-C", base / "imapd.conf", "-M", base / "cyrus.conf", "-p", base / "pid"]
        program = [self.root / _BIN / "master", *files, "-D"]
        self.running.start(program, self.port, self._environment(), self.owner)
        return self

    def add_user(self, user: str) -> Mailbox:
        """Add a user; the folders come with the first login."""
        name, _, domain = user.partition("@")
        domain = domain or _DOMAIN
        add: list[str | Path] = [
            self.root / "usr/sbin/saslpasswd2",
            "-p",
            "-c",
            "-f",
            self.running.base / "users",
            "-u",
            domain,
        ]
        environment = os.environ | self._environment()
        subprocess.run([*add, name], input=PASSWORD.encode(), env=environment, user=self.owner, check=True)
        return Mailbox(user=f"{name}@{domain}", imap=self.port)

    def stop(self) -> None:
        """Stop the server and remove all its files."""
        self.running.stop()

    def _give_to(self, owner: str) -> None:
        """Let somebody else work with our files, and with programs that we may keep to ourselves."""
        base, self.root = self.running.base, self.running.base / "debian"
        shutil.copytree(DEBIAN, self.root, symlinks=True)
        for path in (base, *base.rglob("*")):
            os.chown(path, pwd.getpwnam(owner).pw_uid, -1, follow_symlinks=False)

    def _environment(self) -> dict[str, str]:
        return {
            "LD_LIBRARY_PATH": libraries(self.root),
            "SASL_PATH": str(self.root / "usr/lib/x86_64-linux-gnu/sasl2"),
        }
