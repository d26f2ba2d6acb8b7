"""Python code of ours on hosts: found there, or sent.

What is there already counts if it is the same code: its fingerprint is taken on the host, by the interpreter
that would run it. Otherwise the package is sent as a bundle, with the distributions that it needs, out of the
environment that the harness itself runs in; that fits only a Python of the same version and make. A bundle
stays on its host, so that the next run finds it; the next one to be sent replaces it.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import importlib.util
import io
import re
import sysconfig
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from harness.cluster.base import ClusterError
from harness.remote.connection import Connection
from harness.remote.errors import RemoteError
from harness.systems import fingerprint as script
from harness.systems.fingerprint import fingerprint

BUNDLES: Final = PurePosixPath("/srv/stormcellar/app")
LIMIT_S: Final = 120.0
"""For one step on a host: starting Python on an emulated machine takes seconds."""
_SCRIPT: Final = Path(script.__file__)
_REQUIREMENT: Final = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


class Package(NamedTuple):
    """A package of ours. `needs` are the distributions that it imports from, `interpreters` where on a host a
    Python may be that has it, `remedy` what to do about a host where neither that nor a bundle works."""

    name: str
    needs: tuple[str, ...]
    interpreters: tuple[str, ...]
    remedy: str


class Python(NamedTuple):
    """What runs the package, once `-m PACKAGE` is added to `argv`."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


async def install(host: Connection, package: Package) -> Python:
    """Raises `ClusterError`, which names the host."""
    wanted = fingerprint(package.name)
    bundle = BUNDLES / wanted
    bundled = Python(("python3", "-P"), {"PYTHONPATH": str(bundle)})
    candidates = [Python((path, "-P"), {}) for path in package.interpreters]
    try:
        for python in (*candidates, bundled):
            if await _fingerprint_there(host, python, package.name) == wanted:
                return python
        await _demand_same_python(host, package)
        await _send(host, package, bundle)
        if await _fingerprint_there(host, bundled, package.name) != wanted:
            raise ClusterError(f"{host.host.name}: what was sent to {bundle} is not what is there now")
    except RemoteError as error:
        raise ClusterError(str(error)) from None
    return bundled


@cache
def bundle_of(package: Package) -> bytes:
    """A `tar.gz` of the package and of all the distributions that it needs."""
    files = {**_distributions(package.needs), **dict(_sources(package.name))}
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as zipped,
        tarfile.open(fileobj=zipped, mode="w|") as tar,
    ):
        for path in sorted(files):
            tar.add(files[path], arcname=path, recursive=False)
    return packed.getvalue()


def requirements(lines: Sequence[str]) -> Iterator[str]:
    """The distributions that these lines of metadata name, but for those wanted by extras only. Those for
    other systems and Pythons are among them."""
    for line in lines:
        words, _, marker = line.partition(";")
        match = _REQUIREMENT.match(words)
        if match is not None and "extra" not in marker:
            yield match[1]


def _sources(name: str) -> Iterator[tuple[str, Path]]:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    top = Path(spec.origin).parent
    for path in top.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield str(PurePosixPath(name, *path.relative_to(top).parts)), path


def _distributions(names: Sequence[str]) -> dict[str, Path]:
    """The files of these and of all that they require, by their paths in a bundle."""
    files: dict[str, Path] = {}
    waiting, known = list(names), set(names)
    while waiting:
        name = waiting.pop()
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            if name in names:
                raise
            continue  # it is wanted on other systems or Pythons
        for path in distribution.files or ():
            there = Path(str(distribution.locate_file(path)))
            if ".." not in path.parts and "__pycache__" not in path.parts and there.is_file():
                files[str(path)] = there
        more = set(requirements(distribution.requires or ())) - known
        waiting += sorted(more)
        known |= more
    return files


async def _fingerprint_there(host: Connection, python: Python, name: str) -> str:
    words = ["env", *(f"{key}={value}" for key, value in python.env.items()), *python.argv, "-", name]
    text = _SCRIPT.read_bytes()
    told = await host.run(words, sudo=True, stdin=text, timeout_s=LIMIT_S, check=False)
    return told.text if told.exit == 0 else ""


async def _demand_same_python(host: Connection, package: Package) -> None:
    tell = "import sysconfig; print(sysconfig.get_config_var('SOABI'))"
    told = await host.run(["python3", "-c", tell], sudo=True, timeout_s=LIMIT_S, check=False)
    there = told.text if told.exit == 0 else "missing"
    ours = str(sysconfig.get_config_var("SOABI"))
    if there != ours:
        raise ClusterError(
            f"{host.host.name}: the package {package.name} cannot be sent there, as its python3 is {there} "
            f"and ours is {ours}: {package.remedy}"
        )


async def _send(host: Connection, package: Package, bundle: PurePosixPath) -> None:
    """Under another name first, so that what has the bundle's name is whole."""
    part = f"{bundle}.part"
    for words, stdin in (
        (["rm", "-rf", "--", str(BUNDLES)], b""),
        (["mkdir", "-p", "--", part], b""),
        (["tar", "-xzf", "-", "--no-same-owner", "-C", part], bundle_of(package)),
        (["mv", "-T", "--", part, str(bundle)], b""),
    ):
        await host.run(words, sudo=True, stdin=stdin, timeout_s=LIMIT_S)
