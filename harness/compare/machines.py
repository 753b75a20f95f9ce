"""Whether two runs were made where their numbers can be compared."""

from collections.abc import Mapping

from harness.manifest import Machine, Manifest

CODE = {"harness"}
"""What a machine's description says of the code: it is what is compared."""


def differences(base: Machine, head: Machine) -> list[str]:
    """What differs between the machines, torch, Python or threads, as "threads: 1 and 2"."""
    return _differences(base.model_dump(exclude=CODE), head.model_dump(exclude=CODE))


def setting_differences(base: Manifest, head: Manifest) -> list[str]:
    """What else may move the numbers and differs, where both runs tell."""
    found: list[str] = []
    for name in ("software", "settings", "environment"):
        ours, theirs = getattr(base, name), getattr(head, name)
        if base.software and head.software:
            found += _differences(ours, theirs)
    return found


def _differences(base: Mapping[str, object], head: Mapping[str, object]) -> list[str]:
    names = dict.fromkeys([*base, *head])
    return [
        f"{name}: {base.get(name, 'none')} and {head.get(name, 'none')}"
        for name in names
        if base.get(name) != head.get(name)
    ]
