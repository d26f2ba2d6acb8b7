"""Hosts from a file, in one of two forms.

Ours has one host a line, with `#` for comments:

    vagrant@10.77.0.11:22 name=n1 key=~/.ssh/lab    # only the address is needed

`name` is the address unless given, the user whoever runs this, the port 22. Settings: `name=`, `key=FILE`,
`known_hosts=FILE`, `host_keys=any` (a host whose key may be any; else it must be known) and
`password_env=VARIABLE` (the environment variable that holds the password). An IPv6 address with a port
is written `[::1]:22`, and needs a name.

The other is OpenSSH's, so also what `vagrant ssh-config` prints: every `Host` without a pattern is a host.
A file with a line that starts with `Host` is of this form. What would change which settings hold, and is not
followed here (`Include`, `Match`, `CanonicalizeHostname`), is refused, and so are proxies. `CertificateFile`
is not heeded, and named when its host does not let us in.

Where no key is named, OpenSSH's own default keys are tried, and of several keys those that exist.
"""

from __future__ import annotations

import getpass
import os
import re
import shlex
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import paramiko

from harness.remote.errors import HostsFileError, reason
from harness.remote.host import NAME, Host

SETTINGS: Final = ("name", "key", "known_hosts", "host_keys", "password_env")
_PLACE: Final = re.compile(
    r"(?:(?P<user>[^@\s]+)@)?(?:\[(?P<v6>[^\]]+)\]|(?P<address>[^\[\]@:\s]+))(?::(?P<port>[0-9]{1,5}))?\Z"
)
_HOST_LINE: Final = re.compile(r"\s*host[\s=]+(?P<names>.+)", re.IGNORECASE)
_NOT_FOLLOWED: Final = re.compile(r"\s*(?P<word>include|match|canonicalizehostname)\b", re.IGNORECASE)
_BEFORE_COMMENT: Final = re.compile(r"""(?:"[^"]*"|'[^']*'|[^"'#]|(?<=\S)#)*(?=(?<!\S)#)""")
_CERTIFICATES: Final = (
    "CertificateFile is not heeded here: a certificate is found beside its key, by the name KEY-cert.pub"
)
_DEFAULT_KEYS: Final = ("id_ed25519", "id_ecdsa", "id_rsa")


def read_hosts(path: Path) -> tuple[Host, ...]:
    """Raises `HostsFileError`: one sentence with the file and, where there is one, the line."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise HostsFileError(f"{path} cannot be read: {reason(error)}") from None
    lines = [_without_comment(line) for line in text.split("\n")]
    is_openssh = any(_HOST_LINE.match(line) for line in lines)
    found = _openssh(path, lines) if is_openssh else _ours(path, lines)
    hosts: list[Host] = []
    for number, host in found:
        for other in hosts:
            if host.name == other.name:
                raise _error(path, number, f"there is already a host {host.name}")
            if (host.address, host.port) == (other.address, other.port):
                raise _error(path, number, f"{host.name} is the same place as {other.name}: {host.address}")
        hosts.append(host)
    if not hosts:
        raise HostsFileError(f"{path} names no host")
    return tuple(hosts)


def _ours(path: Path, lines: list[str]) -> Iterator[tuple[int, Host]]:
    for number, line in enumerate(lines, 1):
        try:
            words = shlex.split(line)
            if words:
                yield number, _of_words(words[0], words[1:])
        except ValueError as error:
            raise _error(path, number, str(error)) from None


def _of_words(place: str, words: list[str]) -> Host:
    match = _PLACE.match(place)
    if match is None:
        raise ValueError(f"{place!r} is not of the form user@address:port (IPv6: user@[address]:port)")
    settings = {}
    for word in words:
        key, is_setting, value = word.partition("=")
        if not (is_setting and value and key in SETTINGS):
            raise ValueError(f"{word!r} is not a setting: {', '.join(f'{name}=' for name in SETTINGS)}")
        if key in settings:
            raise ValueError(f"{key}= is there twice")
        settings[key] = value
    address = match["v6"] or match["address"]
    if "name" not in settings and not NAME.match(address):
        raise ValueError(f"{address!r} cannot also be the host's name: add name=, as in name=n1")
    host = Host(
        name=settings.get("name", address),
        address=address,
        port=int(match["port"] or 22),
        user=match["user"] or getpass.getuser(),
        keys=(_file(settings["key"]),) if "key" in settings else _default_keys(),
    )
    return _with_settings(host, settings)


def _with_settings(host: Host, settings: Mapping[str, str]) -> Host:
    if "known_hosts" in settings:
        host = replace(host, known_hosts=(_file(settings["known_hosts"]),))
    if settings.get("host_keys", "any") != "any":
        raise ValueError(f"host_keys={settings['host_keys']} is not host_keys=any, the only one there is")
    if "host_keys" in settings:
        host = replace(host, host_keys="any")
    if "password_env" in settings:
        variable = settings["password_env"]
        if variable not in os.environ:
            raise ValueError(f"the environment variable {variable} is not set")
        host = replace(host, password=os.environ[variable])
    return host


def _openssh(path: Path, lines: list[str]) -> Iterator[tuple[int, Host]]:
    for number, line in enumerate(lines, 1):
        if refused := _NOT_FOLLOWED.match(line):
            mend = "name the hosts in a file of their own (ssh -G HOST prints what OpenSSH makes of it)"
            raise _error(path, number, f"{refused['word']} is not followed here: {mend}")
    if said := _complaint(lines):
        first = bisect_left(range(len(lines)), True, key=lambda end: bool(_complaint(lines[:end])))
        raise _error(path, first, said)
    config = paramiko.SSHConfig.from_text("\n".join(lines))
    for number, line in enumerate(lines, 1):
        match = _HOST_LINE.match(line)
        for name in shlex.split(match["names"]) if match else ():
            if not set(name) & set("*?!"):
                try:
                    yield number, _of_openssh(name, config.lookup(name))
                except ValueError as error:
                    raise _error(path, number, str(error)) from None


def _complaint(lines: Sequence[str]) -> str:
    """What is wrong with an OpenSSH configuration that begins so; empty if nothing is."""
    try:
        paramiko.SSHConfig.from_text("\n".join(lines))
    except paramiko.ConfigParseError as error:
        return str(error)
    return ""


def _of_openssh(name: str, settings: paramiko.SSHConfigDict) -> Host:
    for unsupported in ("proxycommand", "proxyjump"):
        if settings.get(unsupported) not in (None, "none"):
            raise ValueError(f"host {name} is behind a proxy ({unsupported}), which is not supported")
    port = str(settings.get("port", "22"))
    if not re.fullmatch("[0-9]{1,5}", port):
        raise ValueError(f"{port!r} is not a port")
    host = Host(
        name=name,
        address=str(settings.get("hostname", name)),
        port=int(port),
        user=str(settings.get("user", getpass.getuser())),
        keys=_keys(settings.get("identityfile", ())),
        agent=_agent(settings),
        known_as=str(settings.get("hostkeyalias", "")).lower(),
        unheeded=_CERTIFICATES if "certificatefile" in settings else "",
    )
    if "userknownhostsfile" in settings:
        files = tuple(_file(file) for file in shlex.split(str(settings["userknownhostsfile"])))
        host = replace(host, known_hosts=files)
    if str(settings.get("stricthostkeychecking", "yes")).lower() in ("no", "off"):
        host = replace(host, host_keys="any")
    return host


def _agent(settings: paramiko.SSHConfigDict) -> bool | Path:
    named = str(settings.get("identityagent", "SSH_AUTH_SOCK"))
    if named.lower() == "none" or str(settings.get("identitiesonly", "no")).lower() == "yes":
        return False
    return True if named == "SSH_AUTH_SOCK" else _file(os.path.expandvars(named))


def _keys(named: Sequence[str]) -> tuple[Path, ...]:
    files = tuple(_file(file) for file in named if file.lower() != "none")
    return tuple(file for file in files if file.exists()) or files or (() if named else _default_keys())


def _file(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:
        raise ValueError(f"{name}: there is no such home directory") from None


def _without_comment(line: str) -> str:
    """A comment begins with a # at the start of a word, as in OpenSSH."""
    before = _BEFORE_COMMENT.match(line)
    return line if before is None else before[0].rstrip()


def _default_keys() -> tuple[Path, ...]:
    return tuple(path for name in _DEFAULT_KEYS if (path := Path("~/.ssh", name)).expanduser().exists())


def _error(path: Path, number: int, sentence: str) -> HostsFileError:
    return HostsFileError(f"{path}, line {number}: {sentence}")
