"""Names, plug-ins and what is said when one is wrong or missing."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from slashbench import renamed, selector
from slashbench.bench.data.catalog import DATASETS
from slashbench.bench.models.catalog import MODELS
from slashbench.codecs.catalog import CODECS
from slashbench.errors import (
    BadSetting,
    BrokenPlugin,
    DuplicateName,
    MissingDependency,
    UnknownName,
)
from slashbench.link import links
from slashbench.registry import Registry
from slashbench.trainers.catalog import QUANTISERS, REGIMES, TRANSFORMS


@pytest.fixture
def registry() -> Registry[object]:
    return Registry("thing", group="slashbench.tests.nothing")


def test_decorator_registers_and_a_second_claim_is_an_error(registry: Registry[object]) -> None:
    @registry.register("one")
    class One:
        """The first."""

    assert registry.get("one") is One
    with pytest.raises(DuplicateName, match="'one' is already registered"):
        registry.register("one")(type("Other", (), {}))
    with pytest.raises(DuplicateName):
        registry.lazy("one", "somewhere:Else")
    assert registry.get("one") is One


def test_lazy_line_is_imported_only_when_used(registry: Registry[object]) -> None:
    registry.lazy("fraction", "fractions:Fraction")
    registry.lazy("nowhere", "no_such_module_at_all:Thing")
    assert registry.names() == ["fraction", "nowhere"]
    assert registry.get("fraction").__name__ == "Fraction"
    with pytest.raises(BrokenPlugin, match="no_such_module_at_all"):
        registry.get("nowhere")


def test_a_model_of_the_old_signature_is_told_the_new_one(
    registry: Registry[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "old_model.py").write_text(
        "from slashbench.contracts import Model\n"
        "class Old(Model):\n"
        "    def evaluate(self, module, split): ...\n"
    )
    registry.lazy("old", "old_model:Old")
    with pytest.raises(BrokenPlugin, match=r"\(self, module, split, reference=None\)"):
        registry.get("old")


def test_unknown_name_suggests(registry: Registry[object]) -> None:
    registry.lazy("huffman", "x:Y")
    with pytest.raises(UnknownName, match="did you mean 'huffman'"):
        registry.get("hufman")


def test_missing_dependency_is_listed_with_its_pip_line(registry: Registry[object]) -> None:
    registry.lazy("far", "far_away:Far", needs="far_away", install="pip install far-away")
    with pytest.raises(MissingDependency, match="pip install far-away"):
        registry.get("far")
    (status,) = registry.statuses()
    assert not status.available
    assert "pip install far-away" in status.reason
    assert registry.available() == []


@pytest.mark.parametrize("needed", ["far_away.inner", "json.far_away", "json.decoder.far_away"])
def test_a_module_within_a_package_may_be_missing_too(
    needed: str, registry: Registry[object]
) -> None:
    registry.lazy("far", "far_away:Far", needs=needed, install="pip install far-away")
    registry.lazy("near", "fractions:Fraction", needs="json.decoder")
    with pytest.raises(MissingDependency, match="pip install far-away"):
        registry.get("far")
    assert registry.available() == ["near"]


def test_a_family_says_what_it_needs_before_it_is_imported(registry: Registry[object]) -> None:
    registry.family("far.", "far_away:made", needs="far_away")
    with pytest.raises(MissingDependency, match=r"'far\.one' needs far_away: pip install far_away"):
        registry.get("far.one")


def install_plugin(folder: Path, name: str, body: str, *points: str) -> None:
    """A real distribution on sys.path: a module and its entry points."""
    (folder / f"{name}.py").write_text(body)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[slashbench.tests.things]\n" + "\n".join(points) + "\n")


def test_entry_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_plugin(tmp_path, "good_plugin", 'class G:\n    """Good."""\n', "good = good_plugin:G")
    install_plugin(tmp_path, "bad_plugin", "raise RuntimeError('boom')\n", "bad = bad_plugin:B")
    install_plugin(tmp_path, "thief_plugin", "class T: pass\n", "own = thief_plugin:T")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    registry: Registry[object] = Registry("thing", group="slashbench.tests.things")
    registry.lazy("own", "fractions:Fraction")

    assert set(registry.names()) == {"own", "good", "bad"}
    assert registry.get("good").__name__ == "G"
    assert registry.get("own").__name__ == "Fraction"
    statuses = {status.name: status for status in registry.statuses()}
    assert statuses["good"].origin == "good_plugin"
    assert "boom" in statuses["bad"].reason
    assert len(registry.problems) == 1
    assert "thief_plugin" in registry.problems[0]


@pytest.mark.parametrize(
    "registry", [CODECS, REGIMES, TRANSFORMS, QUANTISERS, MODELS, DATASETS], ids=lambda r: r.kind
)
def test_every_entry_of_ours_loads_and_says_what_it_is(registry: Registry[object]) -> None:
    statuses = list(registry.statuses())
    assert statuses
    for status in statuses:
        if not status.available:
            # a peer, or data, that is not there
            assert "pip install" in status.reason or "bench fetch" in status.reason
            continue
        assert status.summary.endswith("."), f"{status.name} has no one-sentence docstring"


def test_an_old_name_is_refused_with_the_new_one() -> None:
    with pytest.raises(UnknownName, match="codec 'max' was renamed to rans-classes"):
        CODECS.get("max")


def test_an_old_setting_is_refused_with_the_new_one() -> None:
    said = "'steps' is written granularity=tensor or granularity=channel now"
    with pytest.raises(BadSetting, match=said):
        list(links(REGIMES, selector.parse("backslash-q:steps=by-row")))
    with pytest.raises(BadSetting, match="'rise' is written warmup now"):
        list(links(REGIMES, selector.parse("backslash:rise=0.5")))


def test_every_new_setting_is_one() -> None:
    registries = {registry.kind: registry for registry in (CODECS, QUANTISERS, REGIMES, TRANSFORMS)}
    for kind, names in renamed.SETTINGS.items():
        for name, settings in names.items():
            known = {setting.name for setting in selector.settings_of(registries[kind].get(name))}
            for old, now in settings.items():
                assert old.partition("=")[0] not in known
                assert now.partition("=")[0] in known
