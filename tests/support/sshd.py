"""A private sshd on loopback, run as whoever runs the tests, with keys of its own.

Run by root it has mounts of its own, and in them users: root, `sudoer` who may become root without a
password, `plain` who may not and has a password, `nologin` whose shell is none, and two more who may: `odd`,
whose shell is not POSIX, and `noisy`, whose shell prints and traces before it does anything.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from harness.lab.keys import KeyPair, new_key_pair
from harness.remote.host import Host

PROGRAM = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
IS_ROOT = os.getuid() == 0
USERS = "".join(
    f"{name}:x:{uid}:{uid}::/:{shell}\n"
    for name, uid, shell in (
        ("root", 0, "/bin/sh"),
        ("sudoer", 54321, "/bin/sh"),
        ("plain", 54322, "/bin/sh"),
        ("nologin", 54323, "/usr/sbin/nologin"),
        ("sshd", 54324, "/usr/sbin/nologin"),
        ("odd", 54325, "/run/odd"),
        ("noisy", 54326, "/bin/bash"),
    )
).replace("noisy:x:54326:54326::/:", "noisy:x:54326:54326::/run/noisy:")
PASSWORD = "open sesame"
PASSWORD_HASH = (
    "$6$stormcellar$1cXyVUDvHBhmuUrrfat5DTnmcB.GnPvjSw0DEpb6kX9rI"
    "yBsdvXptVkuocnuAUT2jOEjDMv0aPZG5lfNWyGWV."
)  # openssl passwd -6
SHADOW = "".join(
    f"{name}:{PASSWORD_HASH if name == 'plain' else '*'}:20000:0:99999:7:::\n"
    for name in (line.partition(":")[0] for line in USERS.splitlines())
)
OWN_MOUNTS = """set -e
for file in passwd shadow sudoers; do [ ! -e /etc/$file ] || mount --bind "$1/$file" /etc/$file; done
mount -t tmpfs tmpfs /run
mkdir /run/sshd /run/noisy
cp "$1/authorized_keys" /run
printf '#!/bin/sh\necho "odd: no \\$? here"\necho "in: $2"\nexit 1\n' >/run/odd
chmod 755 /run/odd
printf 'echo Welcome!; echo Welcome, too! >&2; set -x' >/run/noisy/.bashrc
shift
exec "$@"
"""
USER = pwd.getpwuid(os.getuid()).pw_name


class Sshd:
    """Its port stays the same over `stop` and `start`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.identity = directory / "id_ed25519"
        self.known_hosts = directory / "known_hosts"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        user_key = new_key_pair()
        write_secret(self.identity, user_key.private)
        (directory / "authorized_keys").write_text(user_key.public + "\n")
        self.host_key = self.give_new_host_key()
        self.tell(self.host_key)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> Host:
        return Host(
            "n1", "127.0.0.1", self.port, USER, (self.identity,), agent=False, known_hosts=(self.known_hosts,)
        )

    def host_with(self, **changes: object) -> Host:
        return replace(self.host, **changes)  # type: ignore[arg-type]

    def give_new_host_key(self) -> KeyPair:
        key = new_key_pair()
        write_secret(self.directory / "host_key", key.private)
        return key

    def tell(self, key: KeyPair) -> None:
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {key.public}\n")

    def start(self) -> None:
        (self.directory / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\n"
            f"HostKey {self.directory}/host_key\n"
            f"AuthorizedKeysFile {'/run' if IS_ROOT else self.directory}/authorized_keys\n"
            "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitUserRC no\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nLogLevel ERROR\n"
            "Subsystem sftp internal-sftp\nMaxStartups 100\n"
            "Match User plain\nPasswordAuthentication yes\n"
        )
        assert PROGRAM is not None
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._own_mounts(), PROGRAM, "-D", "-e", "-f", str(self.directory / "sshd_config")],
                stderr=log,
            )
        for _ in range(1000):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as sock:
                assert sock.recv(4) == b"SSH-"
                return
            assert self._process.poll() is None, (self.directory / "log").read_text()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.01)
        raise AssertionError("sshd did not start")

    def _own_mounts(self) -> list[str]:
        if not IS_ROOT:
            return []
        for name, text in (
            ("passwd", USERS),
            ("shadow", SHADOW),
            ("sudoers", "sudoer,odd,noisy ALL=(ALL) NOPASSWD: ALL\n"),
        ):
            (self.directory / name).write_text(text)
            (self.directory / name).chmod(0o644 if name == "passwd" else 0o440)
        return ["unshare", "--mount", "sh", "-c", OWN_MOUNTS, "sh", str(self.directory)]

    def stop(self) -> None:
        """Also its connections."""
        self.cut_connections()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def cut_connections(self) -> int:
        """Kill the processes that serve a connection each; how many."""
        pids = [] if self._process is None else children(self._process.pid)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(pids)


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            after_name = stat.read_text().rpartition(")")[2].split()
            if int(after_name[1]) == pid and after_name[0] != "Z":
                found.append(int(stat.parent.name))
    return found


def write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


@contextmanager
def sshd_in(directory: Path) -> Iterator[Sshd]:
    sshd = Sshd(directory)
    try:
        sshd.start()
        yield sshd
    finally:
        sshd.stop()
