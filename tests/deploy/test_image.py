"""The container image: all of it is locked by hash, small, and run by an unprivileged user."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from charts import one, render
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).parents[2]
LARGEST = 60_000_000
"""Bytes of all wheels; the base image, python:3.13-slim, has about 45 MB more."""


def locked(name: str) -> dict[str, tuple[str, int]]:
    """Return version and number of hashes of each package of a lock."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        package, _, rest = line.partition("==")
        found[canonicalize_name(package)] = (rest.split()[0], len(re.findall("sha256:", rest)))
    return found


def needs(package: str) -> list[Requirement]:
    """Return what a package installed here needs on the image's platform, without extras."""
    try:
        every = [Requirement(text) for text in requires(package) or ()]
    except PackageNotFoundError:
        return []
    platform = {"python_version": "3.13", "python_full_version": "3.13.0", "extra": ""}
    return [one for one in every if one.marker is None or one.marker.evaluate(platform)]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock"])
def test_every_package_is_locked_by_hash(name: str) -> None:
    assert {package for package, (_, hashes) in locked(name).items() if not hashes} == set()
    assert len(locked(name)) > 0


def test_the_lock_fits_what_the_project_asks_for() -> None:
    """Run .ci/lock after a change of install_requires."""
    lock = locked("requirements.lock")
    for need in needs("virtual-kubelet"):
        version, _ = lock[canonicalize_name(need.name)]
        assert need.specifier.contains(version), need


def test_the_lock_is_complete() -> None:
    """The image is installed without asking any index for what a package needs."""
    lock = locked("requirements.lock")
    wanted = {canonicalize_name(need.name) for package in lock for need in needs(package)}
    assert wanted - set(lock) == set()


def test_the_wheels_together_are_small() -> None:
    sizes, named = {}, {}
    for line in (ROOT / "requirements.sizes").read_text().splitlines():
        size, file = line.split()
        name, version, *_ = parse_wheel_filename(file)
        sizes[name], named[name] = int(size), str(version)
    assert named == {name: version for name, (version, _) in locked("requirements.lock").items()}
    assert sum(sizes.values()) <= LARGEST


def test_nothing_unlocked_is_installed() -> None:
    text = (ROOT / "Containerfile").read_text().replace("\\\n", " ")
    commands = [part.strip() for line in text.splitlines() for part in line.split("&&")]
    pips = [command for command in commands if re.match(r"(RUN )?pip ", command)]
    assert len(pips) == 4
    assert all("--require-hashes" in one or "--no-index" in one for one in pips)


@pytest.mark.slow
def test_the_image_runs_as_the_user_of_the_chart() -> None:
    text = (ROOT / "Containerfile").read_text()
    spec = one(render(), "Deployment")["spec"]["template"]["spec"]["securityContext"]
    assert f"USER {spec['runAsUser']}:{spec['runAsGroup']}\n" in text
