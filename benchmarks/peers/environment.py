"""Virtual environments of the peers: made once under runs/peers, on top of what this interpreter has.

Torch and transformers are thus the same for all; only the peer and what it lacks is installed.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence

from benchmarks.workers import ROOT

FOLDER = ROOT / "runs" / "peers"


def others(constraints: str, requirements: Sequence[str]) -> str:
    """The constraints but for those on the required packages, which may be of other versions than ours."""
    named = {requirement.partition("==")[0] for requirement in requirements}
    return "".join(line for line in constraints.splitlines(keepends=True) if line.partition("==")[0] not in named)


def python_with(*requirements: str) -> str:
    """The interpreter of an environment that has these packages.

    Raises:
        RuntimeError: they could not be installed; what pip said is in the message.
    """
    folder = FOLDER / requirements[0].replace("==", "-")
    python, done = folder / "bin" / "python", folder / "done"
    if done.exists() and done.read_text(encoding="utf-8") == sys.prefix:
        return str(python)
    print(f"  installing {', '.join(requirements)} into {folder.relative_to(ROOT)}", flush=True)
    venv.create(folder, clear=True, with_pip=True)
    site = next((folder / "lib").glob("python3*")) / "site-packages"
    ours = sysconfig.get_path("purelib")
    (site / "beneath.pth").write_text(f"import site; site.addsitedir({ours!r})\n", encoding="utf-8")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    constraints = folder / "constraints.txt"
    constraints.write_text(
        others((ROOT / "constraints.txt").read_text(encoding="utf-8"), requirements), encoding="utf-8"
    )
    result = subprocess.run([*pip, "-c", str(constraints), *requirements], capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"pip could not install {', '.join(requirements)}:\n{result.stderr[-2000:]}")
    done.write_text(sys.prefix, encoding="utf-8")
    return str(python)
