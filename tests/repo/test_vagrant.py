"""The files of the Vagrant lab are sound, as far as that shows without a virtual machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.hand.tool import PACKAGES

ROOT = Path(__file__).resolve().parents[2]
VAGRANT = ROOT / "vagrant"
SCRIPTS = sorted([*VAGRANT.glob("*.sh"), *VAGRANT.glob("box/*.sh"), VAGRANT / "box/init"])
RUBY = shutil.which("ruby")

RECORDER = """\
require "json"
class Recorder < BasicObject  # notes every call and every assignment
  def initialize(calls) = @calls = calls
  def method_missing(name, *args, **options)
    @calls << [name, args.map(&:to_s), options]
    yield ::Recorder.new(@calls) if ::Kernel.block_given?
    self
  end
end
module Vagrant
  CALLS = []
  def self.configure(_version) = yield(Recorder.new(CALLS))
end
load ARGV.first
puts JSON.generate(Vagrant::CALLS)
"""

Call = tuple[str, list[str], dict[str, Any]]


def run(words: list[str], env: Mapping[str, str] = {}) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, env={**os.environ, **env}, timeout=30)


def calls_of(vagrantfile: Path, env: Mapping[str, str] = {}) -> list[Call]:
    assert RUBY is not None
    done = run([RUBY, "-e", RECORDER, str(vagrantfile)], env)
    assert done.returncode == 0, done.stderr
    return [(name, args, options) for name, args, options in json.loads(done.stdout)]


def named(calls: list[Call], name: str) -> list[Call]:
    return [call for call in calls if call[0] == name]


def programs(directory: Path, found: list[str], made: Mapping[str, str]) -> str:
    """A PATH with these programs of the machine, and these made for the test."""
    for name in found:
        (directory / name).symlink_to(str(shutil.which(name)))
    for name, text in made.items():
        (directory / name).write_text(f"#!/bin/sh\n{text}\n")
        (directory / name).chmod(0o755)
    return str(directory)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse_and_can_be_run(script: Path) -> None:
    done = run(["sh", "-n", str(script)])
    assert (done.returncode, done.stderr) == (0, "")
    assert script.name == "init" or os.access(script, os.X_OK)


def test_hosts_get_every_program_that_the_faults_need() -> None:
    got = set((VAGRANT / "packages.txt").read_text().split())
    needed = {package for words in PACKAGES.values() for package in words.split()}
    assert needed - {"gcc", "libc6-dev"} <= got  # those bend clocks where several hosts share one kernel's


def test_no_file_names_a_mirror() -> None:
    files = [
        path for path in VAGRANT.rglob("*") if path.is_file() and not {"wheels", ".vagrant"} & set(path.parts)
    ]
    assert [path.name for path in files if b"://" in path.read_bytes() and path.suffix != ".gz"] == []


@pytest.mark.skipif(RUBY is None, reason="ruby is not installed (apt-get install ruby)")
class TestVagrantfile:
    def test_as_many_hosts_as_asked_for_each_with_an_address_of_its_own(self) -> None:
        calls = calls_of(VAGRANT / "Vagrantfile", {"STORMCELLAR_NODES": "5"})
        assert [args for _, args, _ in named(calls, "define")] == [[f"n{i}"] for i in range(1, 6)]
        networks = [options for _, _, options in named(calls, "network")]
        assert len({options["ip"] for options in networks}) == 5
        provisions = [options["args"] for _, args, options in named(calls, "provision") if args == ["shell"]]
        assert [(args[0], args[1]) for args in provisions] == [
            (f"n{i}", options["ip"]) for i, options in enumerate(networks, 1)
        ]
        assert all(f"{address}={name}" in args[2] for args in provisions for name, address, *_ in provisions)

    def test_a_public_box_has_its_network_from_vagrant_and_ours_from_our_script(self) -> None:
        for box, auto in (("debian/bookworm64", True), ("stormcellar/debian12", False)):
            calls = calls_of(VAGRANT / "Vagrantfile", {"STORMCELLAR_BOX": box})
            assert ("box=", [box], {}) in calls
            assert {options["auto_config"] for _, _, options in named(calls, "network")} == {auto}
            isolated = named(calls, "management_network_mode=")
            assert isolated == ([] if auto else [("management_network_mode=", ["none"], {})])

    @pytest.mark.parametrize("value", ["0", "100", "three", ""])
    def test_a_number_of_hosts_that_makes_no_sense_is_one_sentence(self, value: str) -> None:
        assert RUBY is not None
        done = run([RUBY, "-e", RECORDER, str(VAGRANT / "Vagrantfile")], {"STORMCELLAR_NODES": value})
        assert done.returncode == 1
        assert done.stderr == f'STORMCELLAR_NODES is "{value}", but must be a number from 1 to 99\n'

    def test_the_box_finds_its_kernel_beside_its_vagrantfile(self) -> None:
        calls = calls_of(VAGRANT / "box/Vagrantfile")
        assert ("kernel=", [str(VAGRANT / "box/vmlinuz")], {}) in calls
        assert ("initrd=", [str(VAGRANT / "box/initrd")], {}) in calls


class TestLab:
    def test_who_is_not_root_is_told(self, tmp_path: Path) -> None:
        path = programs(tmp_path, ["dirname"], {"id": "echo 1000"})
        done = run([str(VAGRANT / "lab.sh"), "true"], {"PATH": path})
        assert done.returncode == 2
        assert "it must be root: use sudo" in done.stderr

    def test_missing_programs_are_named_with_the_command_that_installs_them(self, tmp_path: Path) -> None:
        path = programs(tmp_path, ["dirname"], {"id": "echo 0", "dpkg-query": "exit 1", "vagrant": ""})
        done = run([str(VAGRANT / "lab.sh"), "true"], {"PATH": path})
        assert done.returncode == 2
        _, _, missing = done.stderr.partition("apt-get install --no-install-recommends ")
        assert set(missing.split()) >= {"libvirt-daemon-system", "vagrant-libvirt", "qemu-utils"}
        assert "vagrant" not in missing.split()

    def test_without_a_box_it_is_told_how_to_get_one(self, tmp_path: Path) -> None:
        tools = ["vagrant", "libvirtd", "qemu-system-x86_64", "qemu-img", "dnsmasq", "ip", "iptables", "ssh"]
        path = programs(tmp_path, ["dirname"], {"id": "echo 0", "dpkg-query": "", **dict.fromkeys(tools, "")})
        done = run([str(VAGRANT / "lab.sh"), "true"], {"PATH": path, "XDG_CACHE_HOME": str(tmp_path)})
        assert done.returncode == 2
        assert (
            f"there is no box at {tmp_path}/stormcellar/vagrant/debian12.box: make vagrant-box" in done.stderr
        )

    def test_the_flags_of_the_test_are_flags_of_the_harness(self, tmp_path: Path) -> None:
        done = run([str(VAGRANT / "test.sh")], {"STORMCELLAR_HOSTS": str(tmp_path / "hosts")})
        assert done.stderr == f"harness: {tmp_path}/hosts cannot be read: No such file or directory\n"


class TestWheels:
    PYTHON = """
while [ $# != 0 ]; do
    case $1 in
        wheel) made=stormcellar-1.whl ;;
        download) made=trio-1.whl ;;
        install) made=trio.py ;;
    esac
    case $1 in --wheel-dir | --dest | --target) echo >"$2/$made" ;; esac
    [ "$1" != "${BREAKS:-}" ] || exit 3
    shift
done
"""
    """As far as wheels.sh asks for it. It breaks at one of its words, if wanted."""

    @pytest.mark.skipif(os.getuid() != 0, reason="needs root")
    @pytest.mark.parametrize("breaks", ["", "download"])
    def test_what_root_makes_of_somebody_s_checkout_is_theirs(self, breaks: str, tmp_path: Path) -> None:
        checkout = tmp_path / "their checkout"
        (checkout / "vagrant").mkdir(parents=True)
        shutil.copy(VAGRANT / "wheels.sh", checkout / "vagrant")
        (checkout / "requirements.lock").touch()
        elsewhere = tmp_path / "elsewhere"
        elsewhere.touch()
        (checkout / "vagrant/wheels").mkdir()
        (checkout / "vagrant/wheels/link").symlink_to(elsewhere)
        for path in (checkout, checkout / "vagrant"):
            os.chown(path, 12345, 54321)
        (tmp_path / "programs").mkdir()
        programs(tmp_path / "programs", [], {"python": self.PYTHON})
        done = run(
            [str(checkout / "vagrant/wheels.sh"), str(tmp_path / "programs/python")],
            {"BREAKS": breaks, "TMPDIR": str(tmp_path)},
        )
        assert (done.returncode, done.stderr) == (3 if breaks else 0, "")
        made = [*(checkout / "vagrant").glob("store*"), *(checkout / "vagrant/wheels").rglob("*")]
        whole = {"trio-1.whl", "requirements.lock", "store.tar.gz"}
        assert {path.name for path in made} == {"link", "stormcellar-1.whl"} | (set() if breaks else whole)
        made.append(checkout / "vagrant/wheels")
        assert {(path.lstat().st_uid, path.lstat().st_gid) for path in made} == {(12345, 54321)}
        assert elsewhere.stat().st_uid == 0
        assert {path.name for path in tmp_path.iterdir()} == {"their checkout", "elsewhere", "programs"}


class TestBox:
    def test_a_machine_whose_apt_has_no_such_debian_is_told(self, tmp_path: Path) -> None:
        tools = dict.fromkeys(["debootstrap", "qemu-img", "mkfs.ext4", "apt-get"], "")
        path = programs(tmp_path, ["dirname", "head"], {"id": "echo 0", **tools})
        done = run([str(VAGRANT / "box/build.sh"), str(tmp_path / "a.box")], {"PATH": path})
        assert done.returncode != 0
        assert "apt has no bookworm/main in its sources" in done.stderr
        assert not list(tmp_path.glob("a.box*"))

    def test_the_emulator_gets_every_argument_as_it_was_but_for_its_cache(self, tmp_path: Path) -> None:
        path = programs(tmp_path, [], {"qemu-system-x86_64": 'for a; do echo "$a"; done'})
        done = run([str(VAGRANT / "qemu-tcg.sh"), "-accel", "tcg", "-name", "a  b", ""], {"PATH": path})
        assert done.stdout.split("\n") == ["-accel", "tcg,tb-size=128", "-name", "a  b", "", ""]
