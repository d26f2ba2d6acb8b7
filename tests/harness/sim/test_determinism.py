import os
import subprocess
import sys

from tests.support.storm import LEVELS, Storm


def in_a_process(seed: int, hash_seed: int) -> str:
    command = [sys.executable, "-m", "tests.support.storm", str(seed)]
    env = os.environ | {"PYTHONHASHSEED": str(hash_seed)}
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout


def test_one_seed_gives_one_trace_whatever_the_process_hashes_strings_to():
    assert in_a_process(5, hash_seed=0) == in_a_process(5, hash_seed=4321)


def test_one_seed_gives_one_trace_and_another_seed_another():
    def digest(seed: int) -> str:
        storm = Storm(seed)
        storm.run()
        return storm.digest.hexdigest()

    assert digest(1) == digest(1)
    assert digest(1) != digest(2)


def test_a_storm_over_real_nodes_reaches_every_level_and_every_fault_bites():
    storm = Storm(3, requests=150)
    storm.run()
    served = {
        name.split()[0] for name, count in storm.outcomes.items() if name.split()[1] in ("Found", "Done")
    }
    assert served == set(LEVELS)
    assert storm.outcomes.keys() & {f"{level} Lost" for level in LEVELS}
    assert storm.outcomes["linearizable unavailable"] + storm.outcomes["all timeout"] > 0
    assert storm.outcomes.keys() & {f"{level} NotSent" for level in LEVELS}
    for fault in ("kill", "unkill", "pause", "unpause", "cut", "uncut", "bump", "unbump"):
        assert storm.bites[fault] > 0, fault
