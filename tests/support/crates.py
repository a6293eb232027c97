"""A cargo workspace that needs no network: small crates, and a program that uses all of them.

What incident P3 needs of it: many short compilations, so that a build that is disturbed has something left to do.
"""

import os
import shutil
import subprocess
from pathlib import Path

CRATES = 8
_SHAPE = """
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct S{n} {{ pub a: u64, pub b: String }}
pub fn f{n}(x: u64) -> u64 {{
    let one = S{n} {{ a: x, b: format!("{{x}}") }};
    if one.clone() == one {{ format!("{{one:?}}").len() as u64 }} else {{ 0 }}
}}
"""


def toolchain() -> Path | None:
    """The folder with the real `cargo` and `rustc`; None where there are none, or only a launcher without them."""
    found = shutil.which("rustc")
    if found is None:
        return None
    asked = subprocess.run([found, "--print", "sysroot"], capture_output=True, text=True, check=False)
    place = Path(asked.stdout.strip()) / "bin"
    if asked.returncode == 0 and (place / "cargo").exists():
        return place
    beside = shutil.which("cargo")
    return Path(beside).parent if asked.returncode == 0 and beside else None


def make_crates(root: Path, tools: Path, *, functions: int = 12) -> Path:
    """Writes the workspace with its lock file, and returns `root`."""
    names = [f"part{at}" for at in range(CRATES)]
    members = ", ".join(f'"{name}"' for name in (*names, "whole"))
    for name in names:
        body = "".join(_SHAPE.format(n=at) for at in range(functions))
        _write_crate(root / name, "", "lib.rs", body)
    needs = "[dependencies]\n" + "".join(f'{name} = {{ path = "../{name}" }}\n' for name in names)
    total = " + ".join(f"{name}::f0(1)" for name in names)
    _write_crate(root / "whole", needs, "main.rs", f'fn main() {{ println!("{{}}", {total}); }}\n')
    profile = "[profile.dev]\ndebug = 0\nincremental = false\ncodegen-units = 1\n"
    (root / "Cargo.toml").write_text(f'[workspace]\nresolver = "2"\nmembers = [{members}]\n{profile}')
    subprocess.run(
        [tools / "cargo", "generate-lockfile", "--offline", "--quiet"],
        cwd=root,
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        check=True,
    )
    return root


def _write_crate(folder: Path, needs: str, source: str, body: str) -> None:
    (folder / "src").mkdir(parents=True)
    head = f'[package]\nname = "{folder.name}"\nversion = "0.1.0"\nedition = "2021"\n'
    (folder / "Cargo.toml").write_text(head + needs)
    (folder / "src" / source).write_text(body)
