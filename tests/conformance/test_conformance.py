"""Every codec passes the conformance kit, and every check of the kit can fail."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numcodecs
import numpy as np
import pytest

from slashbench.bench.conformance import checks
from slashbench.bench.conformance.checks import CHECKS
from slashbench.bench.conformance.specimens import Specimen
from slashbench.codecs.base import Bound, OneChunkCodec
from slashbench.codecs.catalog import CODECS
from slashbench.errors import BadSetting, NotConformant, UsageError
from tests.helpers import broken_codecs
from tests.helpers.broken_codecs import Foreign, NoChecksum, Sound
from tests.helpers.command import Done, bench

NAMES = [name for name in CODECS.available() if not issubclass(CODECS.get(name), Bound)]
OURS = {name: CODECS.get(name) for name in NAMES} | {
    f"{name}:{settings}": functools.partial(CODECS.get(name), **settings)
    for name, settings in [
        ("exp-golomb", {"k": 0, "map": "rank"}),
        ("exp-golomb", {"k": 5}),
        ("exp-golomb", {"k": 30, "map": "rank"}),
        ("huffman", {"max_length": 1}),
        ("huffman", {"max_length": 4}),
        ("huffman", {"max_length": 14}),
        ("zstd", {"level": 1}),
    ]
}
FAULTY = [cls for cls in vars(broken_codecs).values() if hasattr(cls, "faults")]

every_check = pytest.mark.parametrize("check", CHECKS, ids=str)


#: What a setting can change. The rest of a codec is tried at its defaults, and at all by `-m slow`.
OF_SETTINGS = {"values", "large", "configuration", "self-contained", "deterministic", "ledger"}


def is_brief(make, check):
    """More than two chunks are nothing to a codec that makes one of any tensor, xz least of all."""
    if check.name == "large":
        return not issubclass(getattr(make, "func", make), OneChunkCodec)
    return isinstance(make, type) or check.name in OF_SETTINGS


#: What the fast tests ask of every codec, and of those that others wrote.
FAST = {"values", "layouts", "configuration", "deterministic", "ledger", "damage"}
FAST_OF_PEERS = {"values", "configuration"}


def is_fast(make, check):
    of_others = make.__module__.startswith("slashbench.codecs.peers")
    return check.name in (FAST_OF_PEERS if of_others else FAST)


def cases():
    for name, make in OURS.items():
        for check in CHECKS:
            marks = () if is_fast(make, check) else pytest.mark.thorough
            marks = marks if is_brief(make, check) else pytest.mark.slow
            yield pytest.param(make, check, id=f"{name}-{check}", marks=marks)


@pytest.mark.parametrize(("make", "check"), list(cases()))
def test_ours(make, check):
    if check.name == "expansion" and isinstance(make, functools.partial):
        pytest.skip("a user who chooses a setting chooses what it costs")
    check(make)


@every_check
@pytest.mark.parametrize("make", [Sound, Foreign, NoChecksum])
def test_sound_ones(make, check):
    check(make)


@pytest.mark.parametrize("make", FAULTY)
def test_faults_are_found(make):
    if make is broken_codecs.KeepsItsSettingForItself:
        make = functools.partial(make, shift=5)
    faults = set(getattr(make, "func", make).faults.split())
    told = [check for check in CHECKS if check.name in faults]
    assert {each.check: each.status for each in checks.run(make, told)} == dict.fromkeys(
        faults, "fail"
    )


def test_every_check_can_fail():
    assert {name for cls in FAULTY for name in cls.faults.split()} == {
        check.name for check in CHECKS
    }


def test_a_failure_says_how_to_see_it_again():
    (values,) = [check for check in CHECKS if check.name == "values"]
    with pytest.raises(NotConformant, match="expected the tensor that was encoded; got") as caught:
        values(broken_codecs.LosesExtremes)
    message = str(caught.value)
    assert "array = Specimen(dtype='int32', kind='lowest', shape=(1,)" in message
    made = eval(message.partition("array = ")[2], {"Specimen": Specimen})
    assert np.array_equal(made, np.array([-(2**31)], np.int32))


def test_what_is_missing_for_a_foreign_codec_is_remarked():
    (damage,) = [check for check in CHECKS if check.name == "damage"]
    assert damage(NoChecksum).startswith("warning: it has no checksum; ")
    outcomes = {o.check: o.status for o in checks.run(numcodecs.Zlib)}
    assert {name for name, status in outcomes.items() if status != "pass"} == {
        "self-contained",
        "ledger",
        "bounded",
    }
    assert set(outcomes.values()) == {"pass", "skip"}


def test_a_bound_is_refused():
    for refused in (CHECKS[0], lambda make: list(checks.run(make))):
        with pytest.raises(UsageError, match="a yardstick, not a codec"):
            refused(CODECS.get("entropy"))


def test_a_usage_error_of_the_codec_fails_one_check_and_the_others_run():
    outcomes = {o.check: o for o in checks.run(functools.partial(RefusesItsOwnSetting, shift=5))}
    assert len(outcomes) == len(CHECKS)
    assert outcomes["configuration"].status == "fail"
    assert "shift=5 is refused" in outcomes["configuration"].detail


class RefusesItsOwnSetting(Sound):
    def __init__(self, shift=0):
        self.shift = shift

    @classmethod
    def from_config(cls, config):
        raise BadSetting(f"shift={config['shift']} is refused")


# The command


def kit(*arguments: str) -> Done:
    return bench("test-codec", *arguments, cwd=Path(broken_codecs.__file__).parent)


def test_the_command_passes_a_sound_codec_that_is_not_registered():
    done = kit("broken_codecs:Sound")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(CHECKS)} passed, 0 failed, 0 skipped" in done.stdout
    assert "not registered with numcodecs" in done.stdout


def test_the_command_fails_a_faulty_one():
    done = kit("broken_codecs:KeepsItsSettingForItself:shift=5", "--json")
    assert done.returncode == 1, done.stderr
    (trial,) = json.loads(done.stdout)
    assert trial["codec"] == "broken_codecs:KeepsItsSettingForItself:shift=5"
    assert not trial["passed"]
    failed = [check for check in trial["checks"] if check["status"] == "fail"]
    assert [check["check"] for check in failed] == ["self-contained"]
    assert "Specimen(dtype='int16', kind='bell', shape=(999,)" in failed[0]["detail"]


@pytest.mark.parametrize(
    ("codec", "message"),
    [
        ("hufman", "did you mean 'huffman'"),
        ("zstd:levle=3", "did you mean 'level'"),
        ("exp-golomb:k=99", "exp-golomb"),
        ("entropy", "a yardstick, not a codec"),
        ("no_such_module:Bytes", "no module 'no_such_module'"),
        ("broken_codecs:Sond", "has no class 'Sond'"),
        ("broken_codecs:Sound:level=3", "has no settings"),
        ("builtins:dict", "a codec is a numcodecs.abc.Codec"),
    ],
)
def test_wrong_use_exits_2_and_says_why(codec, message):
    done = kit(codec)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
