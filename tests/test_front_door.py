"""The package's outside: what it exports, what importing it costs, and how its files hang together."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mlops_cls as mc

SOURCE = Path(mc.__file__).parent


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)


def test_import_loads_neither_torch_nor_hydra_nor_wandb() -> None:
    code = (
        "import sys, mlops_cls; print([m for m in ('torch','hydra','wandb','pytorch_lightning') if m in sys.modules])"
    )
    assert run_python(code).stdout.strip() == "[]"


def test_import_takes_less_than_three_tenths_of_a_second() -> None:
    code = "import time; t = time.perf_counter(); import mlops_cls; print(time.perf_counter() - t)"
    assert min(float(run_python(code).stdout) for _ in range(3)) < 0.3


@pytest.mark.parametrize("argument", ["--help", "optim.lrr=1"])
def test_help_or_a_mistyped_setting_waits_for_torch(argument: str) -> None:
    code = f"""
import sys
from mlops_cls.train import main
try:
    main([{argument!r}])
except Exception as error:
    print(error)
print([m for m in ("torch", "timm", "pytorch_lightning") if m in sys.modules])
"""
    said = run_python(code).stdout.strip().splitlines()
    assert said[-1] == "[]"
    assert "optim" in "".join(said)


@pytest.mark.parametrize("name", mc.__all__)
def test_every_exported_name_exists_and_stays_itself(name: str) -> None:
    first = getattr(mc, name)
    assert first is getattr(mc, name)
    assert first.__name__ == name
    assert first.__doc__


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        mc.no_such_name  # noqa: B018


def test_predictor_can_be_imported_where_torch_cannot() -> None:
    code = """
import sys
for name in ("torch", "pytorch_lightning", "hydra", "wandb"):
    sys.modules[name] = None
from mlops_cls import Predictor, ModelCard, Preprocess
"""
    assert run_python(code).returncode == 0


def test_no_module_imports_the_package_root_and_no_file_is_too_long() -> None:
    for path in SOURCE.rglob("*.py"):
        text = path.read_text()
        assert text.count("\n") <= 300, path
        imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
        assert "mlops_cls" not in [node.module for node in imports], path


def test_only_their_own_module_imports_wandb_albumentations_and_hydra() -> None:
    homes = {
        "wandb": {"tracking", "with_wandb.py"},
        "albumentations": {"augment.py", "alternating.py"},
        "hydra": {"compose.py", "explain.py"},
        "optuna": {"search"},
    }
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for library in (name.partition(".")[0] for name in names):
                allowed = homes.get(library, {path.name})
                assert {path.name, path.parent.name} & allowed, f"{path} imports {library}"
