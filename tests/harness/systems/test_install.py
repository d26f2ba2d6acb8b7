from __future__ import annotations

import ast
import importlib.metadata
import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

import store
from harness.cluster.base import ClusterError
from harness.lab import lab
from harness.lab.lab import Lab
from harness.remote.connection import Connection
from harness.remote.host import Host
from harness.remote.shell import Completed
from harness.systems import install as installing
from harness.systems.fingerprint import fingerprint
from harness.systems.install import bundle_of, install, requirements
from harness.systems.store import PACKAGE

TOP = Path(store.__file__).parent


def imported(tree: ast.AST) -> set[str]:
    """The top names of what a module imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_what_is_sent_with_the_store_is_what_it_imports() -> None:
    names = set().union(*(imported(ast.parse(path.read_text())) for path in TOP.rglob("*.py")))
    foreign = names - sys.stdlib_module_names - {"store"}
    modules = importlib.metadata.packages_distributions()
    assert {name for module in foreign for name in modules[module]} == {
        importlib.metadata.distribution(name).name for name in PACKAGE.needs
    }


def test_a_fingerprint_is_that_of_the_paths_and_contents_of_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the package lies, and whatever was compiled of it."""
    script = installing._SCRIPT

    def of_copy(name: str) -> str:
        words = [sys.executable, "-P", str(script), "store"]
        env = {"PYTHONPATH": str(tmp_path / name)}
        return subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout.strip()

    shutil.copytree(TOP, tmp_path / "a/store", ignore=shutil.ignore_patterns("__pycache__"))
    assert of_copy("a") == fingerprint("store")
    shutil.copytree(tmp_path / "a/store", tmp_path / "b/store")
    with (tmp_path / "b/store/runtime.py").open("a") as file:
        file.write("\n")
    shutil.copytree(tmp_path / "a/store", tmp_path / "c/store")
    (tmp_path / "c/store/runtime.py").rename(tmp_path / "c/store/runtimes.py")
    assert len({of_copy(name) for name in "abc"}) == 3
    assert fingerprint("no_such_package") == ""


def test_a_bundle_holds_the_package_and_all_that_is_required_and_nothing_else() -> None:
    with tarfile.open(fileobj=io.BytesIO(bundle_of(PACKAGE))) as tar:
        names = tar.getnames()
        sent = tar.extractfile("store/runtime.py")
        assert sent is not None
        assert sent.read() == (TOP / "runtime.py").read_bytes()
    tops = {name.partition("/")[0] for name in names}
    assert tops >= {"store", "trio", "msgspec", "outcome", "sortedcontainers", "attr", "idna", "cffi"}
    assert not tops & {"paramiko", "harness", "nacl", "pytest", "hypothesis", "bin", ".."}
    assert not any("__pycache__" in name for name in names)


def test_what_only_extras_want_is_not_required() -> None:
    lines = [
        "attrs>=23.2.0",
        'cffi>=1.14; os_name == "nt" and implementation_name != "pypy"',
        'pyyaml; extra == "yaml"',
        "prometheus-client (>=0.20)",
        "some.thing_odd[extra]~=2",
    ]
    assert list(requirements(lines)) == ["attrs", "cffi", "prometheus-client", "some.thing_odd"]


@dataclass
class Elsewhere:
    """A host whose Python is another one; takes part for a `Connection`."""

    soabi: str
    host: Host = field(default_factory=lambda: Host("n3", "192.0.2.3"))
    asked: list[list[str]] = field(default_factory=list)

    async def run(self, words: list[str], **how: Any) -> Completed:
        self.asked.append(words)
        if "SOABI" in words[-1]:
            return Completed(0 if self.soabi else 127, f"{self.soabi}\n".encode(), b"")
        return Completed(127, b"", b"not found")


@pytest.mark.parametrize("soabi", ["cpython-38-x86_64-linux-gnu", "cpython-311-aarch64-linux-musl", ""])
def test_a_host_with_another_python_is_told_with_both_and_the_remedy(soabi: str) -> None:
    host = Elsewhere(soabi)
    with pytest.raises(ClusterError) as refused:
        trio.run(install, host, PACKAGE)
    said = str(refused.value)
    assert said.startswith(
        f"n3: the package store cannot be sent there, as its python3 is {soabi or 'missing'}"
    )
    assert f"ours is cpython-{sys.version_info[0]}{sys.version_info[1]}" in said
    assert "/opt/stormcellar" in said
    assert not any("rm" in words or "tar" in words for words in host.asked), "nothing was touched"


# On a host ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if os.getuid() != 0 or sys.platform != "linux":
        pytest.skip("needs root on Linux")
    if shutil.which("sshd", path="/usr/sbin:/usr/bin") is None:
        pytest.skip("sshd is not installed (apt-get install openssh-server)")
    runtime = tmp_path_factory.mktemp("runtime")
    made = lab.up("installs", 1, runtime)
    try:
        yield made
    finally:
        lab.down("installs", runtime)


@pytest.mark.real
def test_what_is_there_is_used_and_what_is_not_is_sent_once(
    one: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundles = one.layout.host_directory(one.layout.hosts[0]) / "srv/stormcellar/app"
    # The lab's python3 is the machine's, which need not be made as the one that runs this test.
    like_ours = sys.executable if sys.prefix == sys.base_prefix else os.path.realpath(sys.executable)
    tell = "import sysconfig; print(sysconfig.get_config_var('SOABI'))"

    async def main() -> None:
        async with Connection(one.hosts[0]) as host:
            theirs = (await host.run(["python3", "-c", tell])).text
            monkeypatch.setattr(installing, "sysconfig", SimpleNamespace(get_config_var=lambda name: theirs))
            there = await install(host, PACKAGE)
            assert there.argv == (sys.executable, "-P")
            assert not bundles.exists(), "a host that sees our own files needs no copy"

            stale = bundles / "0123"
            stale.mkdir(parents=True)
            nowhere = PACKAGE._replace(interpreters=("/no/such/python", "/bin/false", "/bin/echo"))
            sent = await install(host, nowhere)
            assert sent.env == {"PYTHONPATH": f"/srv/stormcellar/app/{fingerprint('store')}"}
            assert [path.name for path in bundles.iterdir()] == [fingerprint("store")]
            words = ["env", "-i", *(f"{key}={value}" for key, value in sent.env.items())]
            ran = await host.run([*words, like_ours, *sent.argv[1:], "-m", "store", "node", "--help"])
            assert "--config" in ran.text

            with monkeypatch.context() as patched:
                patched.setattr(installing, "bundle_of", None)
                assert await install(host, nowhere) == sent, "nothing is sent again"

            (bundles / fingerprint("store") / "store/runtime.py").write_text("")
            assert await install(host, nowhere._replace(needs=())) == sent
            there_now = bundles / fingerprint("store") / "store/runtime.py"
            assert there_now.read_bytes() == (TOP / "runtime.py").read_bytes(), "a spoilt one is replaced"

    with_deadline(main)


def with_deadline(main: Any) -> None:
    async def limited() -> None:
        with trio.fail_after(60):
            await main()

    trio.run(limited)
