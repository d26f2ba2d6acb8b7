from __future__ import annotations

from pathlib import Path

import pytest

from harness.remote.errors import HostsFileError
from harness.remote.hosts import read_hosts

VAGRANT = """Host n1
  HostName 127.0.0.1
  User vagrant
  Port 2222
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  PasswordAuthentication no
  IdentityFile "/home/me/my lab/private_key"
  IdentitiesOnly yes
  LogLevel FATAL

Host n2
  HostName 127.0.0.1
  User vagrant
  Port 2200
  StrictHostKeyChecking no
"""


def file_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "hosts"
    path.write_text(text)
    return path


def test_a_line_names_a_host_and_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_PASSWORD", "hush")
    text = (
        "# the lab\n\n"
        "vagrant@10.0.0.11:2222 name=n1 key='/a b/key' known_hosts=/k host_keys=any  # first\n"
        "10.0.0.12 password_env=LAB_PASSWORD\n"
        "me@[::1]:23 name=n3 key=/a#b\n"
    )
    first, second, third = read_hosts(file_of(tmp_path, text))
    assert (first.name, first.address, first.port, first.user) == ("n1", "10.0.0.11", 2222, "vagrant")
    assert first.keys == (Path("/a b/key"),)
    assert first.known_hosts == (Path("/k"),)
    assert first.host_keys == "any"
    assert (second.name, second.port, second.password, second.host_keys) == (
        "10.0.0.12",
        22,
        "hush",
        "strict",
    )
    assert "hush" not in repr(second)
    assert (third.address, third.port, third.keys) == ("::1", 23, (Path("/a#b"),))


def test_what_vagrant_prints_is_understood(tmp_path: Path) -> None:
    first, second = read_hosts(file_of(tmp_path, VAGRANT))
    assert (first.name, first.address, first.port, first.user) == ("n1", "127.0.0.1", 2222, "vagrant")
    assert first.keys == (Path("/home/me/my lab/private_key"),)
    assert first.host_keys == "any"
    assert not first.agent
    assert (second.name, second.port, second.agent) == ("n2", 2200, True)


def test_an_openssh_configuration_keeps_its_patterns_and_defaults(tmp_path: Path) -> None:
    text = "Host db-*\n  User ops\n\nHost web db-1\n  HostName %h.example.org\n\nHost *\n  Port 2022\n"
    hosts = read_hosts(file_of(tmp_path, text))
    assert [(host.name, host.address, host.port) for host in hosts] == [
        ("web", "web.example.org", 2022),
        ("db-1", "db-1.example.org", 2022),
    ]
    assert hosts[1].user == "ops"
    assert hosts[0].host_keys == "strict"


def test_an_openssh_configuration_is_read_as_openssh_reads_it(tmp_path: Path) -> None:
    text = (
        'Host n1 "n2" # don\'t worry\n  HostName "%h.example.org"  # both\n  ProxyCommand none\n'
        f"  ProxyJump none\n  IdentityFile {tmp_path}/none\n  IdentityFile {tmp_path}/hosts\n"
        "Host n3\n  IdentityFile none\n  UserKnownHostsFile /a ~/b\n  StrictHostKeyChecking accept-new\n"
    )
    hosts = read_hosts(file_of(tmp_path, text))
    assert [host.address for host in hosts] == ["n1.example.org", "n2.example.org", "n3"]
    assert hosts[0].keys == (tmp_path / "hosts",)
    assert hosts[2].keys == ()
    assert [host.host_keys for host in hosts] == ["strict"] * 3
    assert hosts[2].known_hosts == (Path("/a"), Path.home() / "b")


def test_what_a_host_is_known_as_and_which_agent_is_asked_are_heeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOCKETS", "/run/me")
    text = (
        "Host n1\n  HostKeyAlias Store-1\n  IdentityAgent none\nHost n2\n  IdentityAgent ~/agent\n"
        "Host n3\n  IdentityAgent SSH_AUTH_SOCK\n  CertificateFile /c\n"
        "Host n4\n  IdentityAgent ${SOCKETS}/agent\nHost n5\n  IdentityAgent /a\n  IdentitiesOnly yes\n"
    )
    hosts = read_hosts(file_of(tmp_path, text))
    assert [host.known_as for host in hosts] == ["store-1", "", "", "", ""]  # small, as OpenSSH has it
    assert [host.agent for host in hosts] == [
        False,
        Path.home() / "agent",
        True,
        Path("/run/me/agent"),
        False,
    ]
    assert ["CertificateFile" in host.unheeded for host in hosts] == [False, False, True, False, False]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_a_file_may_come_from_another_system(tmp_path: Path, start: str, end: str) -> None:
    for line in ("me@a name=n1 # \u2028n2", "Host n1 # \u2028\n HostName a\n User me"):
        path = tmp_path / "hosts"
        path.write_bytes(f"{start}{line}\n".replace("\n", end).encode())
        (host,) = read_hosts(path)
        assert (host.name, host.address, host.user) == ("n1", "a", "me")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no host"),
        ("::1 name=n1\n", "line 1: '::1' is not of the form user@address:port (IPv6: user@[address]:port)"),
        ("[::1]:22\n", "line 1: '::1' cannot also be the host's name: add name=, as in name=n1"),
        ("ssh://me@a\n", "line 1: 'ssh://me' is no user"),
        ("-oProxyCommand=x name=n1\n", "line 1: '-oProxyCommand=x' is no address"),
        ("a:٢٢\n", "line 1: 'a:٢٢' is not of the form"),
        ("a key=~no-such-user/x\n", "line 1: ~no-such-user/x: there is no such home directory"),
        ("Host n1\n  HostName 'a b'\n", """line 1: "'a b'" is no address"""),
        ("Host n1\n  Port ²\n", "line 1: '²' is not a port"),
        ("Host n1\n\nInclude more\n", "line 3: Include is not followed here"),
        ("Host n1\nMatch exec false\n  User me\n", "line 2: Match is not followed here"),
        ("CanonicalizeHostname yes\nHost n1\n", "line 1: CanonicalizeHostname is not followed here"),
        ("Host n1\n  User me\n\nHost 'n2\n", "line 4: Unparsable host 'n2"),
        ("a name=n1\nb name=n1\n", "line 2: there is already a host n1"),
        ("a name=n1\n\nroot@a:22 name=n2\n", "line 3: n2 is the same place as n1: a"),
        ("a b\n", "line 1: 'b' is not a setting: name=, key=, known_hosts=, host_keys=, password_env="),
        ("a key=\n", "line 1: 'key=' is not a setting"),
        ("a key=x key=y\n", "line 1: key= is there twice"),
        ("a name='\n", "line 1: No closing quotation"),
        ("a name=../x\n", "line 1: '../x' is no name for a host"),
        ("a:b\n", "line 1: 'a:b' is not of the form user@address:port"),
        ("a:99999\n", "line 1: 99999 is not a port"),
        ("a host_keys=all\n", "line 1: host_keys=all is not host_keys=any"),
        ("a password_env=NO_SUCH_VARIABLE\n", "line 1: the environment variable NO_SUCH_VARIABLE is not set"),
        ("Host n1\n  HostName a\nHost n1\n", "line 3: there is already a host n1"),
        ("Host n1\n  gibberish\n", "line 2: "),
        ("\nHost n1\n  Port x\n", "line 2: 'x' is not a port"),
        ("Host n1\n  ProxyJump gate\n", "line 1: host n1 is behind a proxy"),
        ("Host *\n  User me\n", "names no host"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_by_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = file_of(tmp_path, text)
    with pytest.raises(HostsFileError) as refused:
        read_hosts(path)
    assert str(refused.value).startswith(str(path))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostsFileError, match="nowhere cannot be read: No such file"):
        read_hosts(tmp_path / "nowhere")
