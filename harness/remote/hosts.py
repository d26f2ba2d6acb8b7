"""Hosts from a file, in one of two forms.

Ours has one host a line, with `#` for comments:

    vagrant@10.77.0.11:22 name=n1 key=~/.ssh/lab    # only the address is needed

`name` is the address unless given, the user whoever runs this, the port 22. Settings: `name=`, `key=FILE`,
`known_hosts=FILE`, `host_keys=any` (a host whose key may be any; else it must be known) and
`password_env=VARIABLE` (the environment variable that holds the password). An IPv6 address with a port
is written `[::1]:22`.

The other is OpenSSH's, so also what `vagrant ssh-config` prints: every `Host` without a pattern is a host.
A file with a line that starts with `Host` is of this form.

Where no key is named, OpenSSH's own default keys are tried, as far as they exist.
"""

from __future__ import annotations

import getpass
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import paramiko

from harness.remote.errors import HostsFileError, reason
from harness.remote.host import Host

SETTINGS: Final = ("name", "key", "known_hosts", "host_keys", "password_env")
_PLACE: Final = re.compile(
    r"(?:(?P<user>[^@\s]+)@)?(?:\[(?P<v6>[^\]]+)\]|(?P<address>[^\[\]@:\s]+))(?::(?P<port>\d+))?\Z"
)
_HOST_LINE: Final = re.compile(r"\s*host[\s=]+(?P<names>.+)", re.IGNORECASE)
_DEFAULT_KEYS: Final = ("id_ed25519", "id_ecdsa", "id_rsa")


def read_hosts(path: Path) -> tuple[Host, ...]:
    """Raises `HostsFileError`: one sentence with the file and, where there is one, the line."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise HostsFileError(f"{path} cannot be read: {reason(error)}") from None
    lines = text.splitlines()
    is_openssh = any(_HOST_LINE.match(line) for line in lines)
    found = _openssh(path, text, lines) if is_openssh else _ours(path, lines)
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
            words = shlex.split(line, comments=True)
            if words:
                yield number, _of_words(words[0], words[1:])
        except ValueError as error:
            raise _error(path, number, str(error)) from None


def _of_words(place: str, words: list[str]) -> Host:
    match = _PLACE.match(place)
    if match is None:
        raise ValueError(f"{place!r} is not of the form user@address:port")
    settings = {}
    for word in words:
        key, is_setting, value = word.partition("=")
        if not (is_setting and value and key in SETTINGS):
            raise ValueError(f"{word!r} is not a setting: {', '.join(f'{name}=' for name in SETTINGS)}")
        if key in settings:
            raise ValueError(f"{key}= is there twice")
        settings[key] = value
    address = match["v6"] or match["address"]
    host = Host(
        name=settings.get("name", address),
        address=address,
        port=int(match["port"] or 22),
        user=match["user"] or getpass.getuser(),
        keys=(Path(settings["key"]),) if "key" in settings else _default_keys(),
    )
    return _with_settings(host, settings)


def _with_settings(host: Host, settings: Mapping[str, str]) -> Host:
    if "known_hosts" in settings:
        host = replace(host, known_hosts=(Path(settings["known_hosts"]),))
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


def _openssh(path: Path, text: str, lines: list[str]) -> Iterator[tuple[int, Host]]:
    try:
        config = paramiko.SSHConfig.from_text(text)
    except paramiko.ConfigParseError as error:
        said = str(error)
        at = next((i for i, line in enumerate(lines, 1) if line.strip() and line.strip() in said), 1)
        raise _error(path, at, said) from None
    for number, line in enumerate(lines, 1):
        match = _HOST_LINE.match(line)
        for name in shlex.split(match["names"], comments=True) if match else ():
            if not set(name) & set("*?!"):
                try:
                    yield number, _of_openssh(name, config.lookup(name))
                except ValueError as error:
                    raise _error(path, number, str(error)) from None


def _of_openssh(name: str, settings: paramiko.SSHConfigDict) -> Host:
    for unsupported in ("proxycommand", "proxyjump"):
        if settings.get(unsupported, "none") != "none":
            raise ValueError(f"host {name} is behind a proxy ({unsupported}), which is not supported")
    port = str(settings.get("port", "22"))
    if not port.isdigit():
        raise ValueError(f"{port!r} is not a port")
    host = Host(
        name=name,
        address=str(settings.get("hostname", name)),
        port=int(port),
        user=str(settings.get("user", getpass.getuser())),
        keys=tuple(Path(file) for file in settings.get("identityfile", ())) or _default_keys(),
        agent=str(settings.get("identitiesonly", "no")).lower() != "yes",
    )
    if "userknownhostsfile" in settings:
        files = tuple(Path(file) for file in shlex.split(str(settings["userknownhostsfile"])))
        host = replace(host, known_hosts=files)
    if str(settings.get("stricthostkeychecking", "yes")).lower() in ("no", "off"):
        host = replace(host, host_keys="any")
    return host


def _default_keys() -> tuple[Path, ...]:
    return tuple(path for name in _DEFAULT_KEYS if (path := Path("~/.ssh", name)).expanduser().exists())


def _error(path: Path, number: int, sentence: str) -> HostsFileError:
    return HostsFileError(f"{path}, line {number}: {sentence}")
