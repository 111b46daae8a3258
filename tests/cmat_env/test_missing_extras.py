"""Without an optional package, what needs it says which extra to install, and everything else works."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cmat_env.cli import main
from cmat_env.errors import MissingExtraError
from tests.conftest import needed, needs

Without = Callable[..., None]


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Without:
    """`without("httpx")`: as if it were not installed, and what had been imported with it had not been."""

    def hide(*packages: str) -> None:
        for name in [*sys.modules]:
            if name.split(".")[0] in packages or name.startswith(("cmat_env.policies.", "cmat_env.cli.serve")):
                monkeypatch.delitem(sys.modules, name)
        for package in packages:
            monkeypatch.setitem(sys.modules, package, None)

    return hide


def test_an_endpoint_needs_httpx(without: Without) -> None:
    """Extra api."""
    without("httpx")
    from cmat_env.policies.spec import parse_spec  # noqa: PLC0415

    with pytest.raises(MissingExtraError, match=r"needs httpx.*pip install 'cmat-env\[api\]'"):
        parse_spec("openai:m", role="assistant")
    assert parse_spec("gold", role="assistant")


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_serving_needs_its_extra(
    without: Without, package: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Extra serve."""
    needed("torch", extra="train")
    without(package)

    assert 2 == main(["serve", str(tmp_path)])
    assert f"needs {package}, which is not installed; run: pip install 'cmat-env[serve]'" in capsys.readouterr().err


@pytest.mark.parametrize(("form", "package"), [("parquet", "datasets"), ("minari", "minari")])
def test_exports_need_their_extra(
    without: Without, form: str, package: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Extra export; JSON lines need nothing."""
    assert 0 == main(["eval", "cmat/DB-v0", "--assistant", "gold", "--episodes", "1", "--record", str(tmp_path)])
    without(package)

    assert 0 == main(["export", str(tmp_path), "--to", "jsonl", "--out", str(tmp_path / "rows.jsonl")])
    assert 2 == main(["export", str(tmp_path), "--to", form, "--out", str(tmp_path / "a-v0")])
    assert f"needs {package}, which is not installed; run: pip install 'cmat-env[export]'" in capsys.readouterr().err


def test_a_missing_component_fails_under_ci_and_is_skipped_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a suite without its components would pass; `needed` and `needs` are the only ways to ask for one."""
    assert needed("json", extra="none").loads
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"no_such_module.*pip install 'cmat-env\[moon\]'"):
        needed("no_such_module", extra="moon")
    assert (False,) == needs("no_such_module", extra="moon").args
    monkeypatch.delenv("CI")
    assert (True,) == needs("no_such_module", extra="moon").args
    with pytest.raises(pytest.skip.Exception, match="no_such_module"):
        needed("no_such_module", extra="moon")
    tests, word = Path(__file__).resolve().parents[1], "import" + "orskip"
    assert [] == [str(path) for path in tests.rglob("*.py") if word in path.read_text(encoding="utf-8")]
