"""What stands for what in a service's command line."""

import pytest

from harness.plugin.node import Node, PlaceholderError, filled, placeholders

N1 = Node("n1", "127.0.0.1", 4001)
VALUES = placeholders(N1, "/runs/n1", {"n2": "127.0.0.1:9002", "n3": "127.0.0.1:9003"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--listen={address}", "--listen=127.0.0.1:4001"),
        ("{host} {port}", "127.0.0.1 4001"),
        ("{data}/log", "/runs/n1/log"),
        ("{peers}", "127.0.0.1:9002,127.0.0.1:9003"),
        ("{name}={n1},n3={n3}", "n1=127.0.0.1:4001,n3=127.0.0.1:9003"),
        ('{"a": [1, {}]}', '{"a": [1, {}]}'),
    ],
)
def test_placeholders_are_replaced_and_other_braces_stay(text, expected):
    assert filled(text, VALUES) == expected


def test_a_placeholder_that_there_is_not_is_named_with_those_that_there_are():
    with pytest.raises(
        PlaceholderError, match=r"'--port=\{prot\}' has \{prot\}; there are .*\{port\}.*\{n3\}"
    ):
        filled("--port={prot}", VALUES)


def test_a_node_alone_has_no_peers():
    assert filled("[{peers}]", placeholders(N1, "", {})) == "[]"


def test_a_node_has_an_address_and_a_url():
    assert (N1.address, N1.url) == ("127.0.0.1:4001", "http://127.0.0.1:4001")
