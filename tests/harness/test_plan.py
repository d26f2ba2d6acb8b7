"""The plan: its round trip through JSON, the sentence for each thing that is wrong with it, its replay."""

import argparse
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from harness import plan as plans
from harness.plan import Plan, PlanError, node_names
from harness.report.atomic import ArtifactsError


def refusal(**changes):
    with pytest.raises(PlanError) as caught:
        replace(Plan(), **changes).validate()
    return str(caught.value)


def test_the_default_plan_is_valid_and_has_the_documented_values():
    plan = Plan()
    plan.validate()
    assert (plan.workload, plan.level, plan.cluster) == ("register", "linearizable", "sim")
    assert (plan.nodes, plan.replication) == (("n1", "n2", "n3", "n4", "n5"), 3)
    assert (plan.time_limit_s, plan.concurrency, plan.rate) == (60, 10, 200)
    assert (plan.op_timeout_s, plan.fault_interval_s, plan.analysis_limit_s) == (1, 10, 60)


FAULTS = ("partition", "kill:majority", "pause:n1+n3", "packets:delay=80/20@n1", "clock:one=-5000")
ANY_PLAN = st.builds(
    Plan,
    workload=st.sampled_from(["register", "sets"]),
    level=st.sampled_from(["one", "all", "r=1,w=2"]),
    cluster=st.sampled_from(["sim", "local"]),
    nodes=st.integers(2, 99).map(node_names) | st.just(("db-1", "db-2.lab", "A")),
    replication=st.just(2),
    faults=st.lists(st.sampled_from(FAULTS), unique=True).map(tuple),
    time_limit_s=st.floats(0.001, 86_400),
    concurrency=st.integers(1, 1000),
    rate=st.floats(0.001, 1e6),
    op_timeout_s=st.floats(0.001, 3600),
    fault_interval_s=st.floats(0.001, 86_400),
    analysis_limit_s=st.floats(0.001, 86_400),
    seed=st.integers(0, 2**63 - 1),
    argv=st.lists(st.text()).map(tuple),
    versions=st.dictionaries(st.text(), st.text()),
)


@given(ANY_PLAN)
def test_a_plan_survives_json(plan):
    plan.validate()
    assert plans.from_json(plans.to_json(plan), "here") == plan


@given(ANY_PLAN)
def test_the_replay_command_repeats_every_option(plan):
    command, verb, *words = shlex.split(plans.replay_command(plan))
    assert (command, verb) == ("harness", "run")
    parser = argparse.ArgumentParser()
    parser.add_argument("--workload", default="register")
    parser.add_argument("--level", default="linearizable")
    parser.add_argument("--cluster", default="sim")
    parser.add_argument("--nodes", type=plans.parse_nodes, default=node_names(5))
    parser.add_argument("--replication", type=int)
    parser.add_argument("--faults", type=plans.parse_faults)
    parser.add_argument("--time-limit", dest="time_limit_s", type=float, default=60.0)
    parser.add_argument("--concurrency", type=int, default=10)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--op-timeout", dest="op_timeout_s", type=float, default=1.0)
    parser.add_argument("--fault-interval", dest="fault_interval_s", type=float, default=10.0)
    parser.add_argument("--analysis-limit", dest="analysis_limit_s", type=float, default=60.0)
    parser.add_argument("--seed", type=int)
    given_ = vars(parser.parse_args(words))
    if given_["faults"] is None:
        given_["faults"] = plans.default_faults(given_["cluster"], len(given_["nodes"]))
    if given_["replication"] is None:
        given_["replication"] = plans.default_replication(len(given_["nodes"]))
    assert Plan(**given_) == replace(plan, argv=(), versions={})


def test_the_replay_command_is_short_where_the_defaults_hold():
    assert plans.replay_command(Plan(seed=7)) == "harness run --seed 7"
    local = Plan(cluster="local", faults=plans.default_faults("local", 5), seed=7)
    assert plans.replay_command(local) == "harness run --cluster local --seed 7"
    alone = Plan(nodes=("n1",), replication=1, faults=plans.default_faults("sim", 1), seed=7)
    assert alone.faults == ("kill", "pause", "clock")
    assert plans.replay_command(alone) == "harness run --nodes 1 --seed 7"
    odd = Plan(level="r=1,w=1", nodes=node_names(7), faults=(), time_limit_s=2.5, seed=1)
    assert plans.replay_command(odd) == (
        "harness run --level r=1,w=1 --nodes 7 --faults none --time-limit 2.5 --seed 1"
    )


def test_a_part_of_a_demo_is_repeated_by_the_whole_demo_on_the_same_ground():
    part = Plan(workload="cart", level="one", nodes=node_names(7), demo="cap/one-lww", seed=7)
    assert plans.replay_command(part) == "harness demo cap --seed 7"
    hosts = replace(part, cluster="ssh", nodes_file="my hosts")
    assert plans.replay_command(hosts) == "harness demo cap --cluster ssh --nodes-file 'my hosts' --seed 7"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"workload": "Re gister"},
            "--workload is 'Re gister'; allowed: a name of small letters, digits and hyphens",
        ),
        ({"cluster": ""}, "--cluster is ''; allowed: a name of small letters, digits and hyphens"),
        ({"nodes": ()}, "--nodes is 0 nodes; allowed: 1 to 99 nodes"),
        ({"nodes": node_names(100)}, "--nodes is 100 nodes; allowed: 1 to 99 nodes"),
        (
            {"nodes": ("n1", "../n2", "n3")},
            "--nodes is '../n2'; allowed: names of letters, digits, dots and hyphens, at most 63 long",
        ),
        ({"nodes": ("n1", "n2", "n1")}, "--nodes is 'n1' twice; allowed: each name once"),
        (
            {"replication": 6},
            "--replication is 6; allowed: a whole number from 1 to 5 (the number of nodes)",
        ),
        (
            {"replication": 0},
            "--replication is 0; allowed: a whole number from 1 to 5 (the number of nodes)",
        ),
        (
            {"faults": ("partition", "")},
            "--faults is ''; allowed: NAME or NAME:CHOICE with commas between, or none",
        ),
        ({"faults": ("kill:one", "kill:n1+n3")}, "--faults is 'kill' twice; allowed: each fault once"),
        ({"concurrency": 0}, "--concurrency is 0; allowed: a whole number from 1 to 1000"),
        ({"concurrency": 1001}, "--concurrency is 1001; allowed: a whole number from 1 to 1000"),
        ({"time_limit_s": 0.0}, "--time-limit is 0; allowed: more than 0 to 86400 seconds"),
        ({"time_limit_s": float("nan")}, "--time-limit is nan; allowed: more than 0 to 86400 seconds"),
        ({"time_limit_s": float("inf")}, "--time-limit is inf; allowed: more than 0 to 86400 seconds"),
        ({"rate": -1.5}, "--rate is -1.5; allowed: more than 0 to 1000000 operations per second"),
        ({"op_timeout_s": 0.0001}, "--op-timeout is 0.0001; allowed: from 0.001 to 3600 seconds"),
        ({"fault_interval_s": 0.0}, "--fault-interval is 0; allowed: more than 0 to 86400 seconds"),
        ({"analysis_limit_s": 1e6}, "--analysis-limit is 1000000; allowed: more than 0 to 86400 seconds"),
        ({"seed": -1}, "--seed is -1; allowed: a whole number from 0 to 2^63-1"),
        ({"seed": 2**63}, "--seed is 9223372036854775808; allowed: a whole number from 0 to 2^63-1"),
    ],
)
def test_a_value_out_of_range_is_refused_in_a_sentence(changes, sentence):
    assert refusal(**changes) == sentence


@pytest.mark.parametrize("level", ["", "strong", "r=0,w=1", "r=4,w=1", "r=1,r=2", "w=x"])
def test_an_unknown_level_is_refused_by_name(level):
    assert refusal(level=level).startswith(f"--level: level {level!r} ")


def test_a_number_of_nodes_out_of_range_is_refused_before_they_are_named():
    with pytest.raises(PlanError, match="--nodes is 1000000000000; allowed: 1 to 99 nodes"):
        plans.parse_nodes("1000000000000")
    with pytest.raises(PlanError, match="--nodes is -3"):
        plans.parse_nodes("-3")


def test_a_plan_is_saved_and_loaded(tmp_path):
    plan = Plan(seed=3, argv=("harness", "run"), versions=plans.versions())
    plans.save(plan, tmp_path / "plan.json")
    assert plans.load(tmp_path / "plan.json") == plan
    assert sorted(plan.versions) == ["msgspec", "platform", "python", "rocksdict", "stormcellar", "trio"]


def test_a_plan_that_cannot_be_read_is_refused_in_a_sentence(tmp_path):
    path = tmp_path / "plan.json"
    with pytest.raises(PlanError, match=r"^the plan .*plan\.json cannot be read: No such file or directory$"):
        plans.load(path)
    for text, reason in [
        (b"{", "truncated"),
        (b'{"seed": "x"}', r"Expected `int`, got `str` - at `\$.seed`"),
        (b'{"colour": 1}', "colour"),
        (b'{"demo": "\xff"}', "can't decode byte 0xff"),
    ]:
        path.write_bytes(text)
        with pytest.raises(PlanError, match=rf"plan\.json is not a plan: .*{reason}"):
            plans.load(path)


def test_a_plan_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(ArtifactsError, match="could not be written: No such file or directory"):
        plans.save(Plan(), tmp_path / "gone" / "plan.json")
