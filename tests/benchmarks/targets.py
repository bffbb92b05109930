"""What the core aims at, beside the yardstick. Pure: figures in, ratios and verdicts out."""

from __future__ import annotations

from typing import Any

__all__ = ["judge"]

Figures = dict[str, Any]
_RATIOS = ("pods_per_s", "p99_s", "seconds", "cpu_ms_per_pod")


def judge(case: str, pods: int, *, vk: Figures, bare: Figures | None = None) -> Figures:
    """Return ``ratio``, vk to bare, where there is a yardstick, and ``reached`` by figure."""
    if case == "restart" or bare is None:
        return {"reached": _restart(vk)}
    if case == "idle":
        # The API server renews leases of its own, which it does beside the bare client too.
        own = round(vk["all_writes_a_minute"] - bare["all_writes_a_minute"], 1)
        reached = {"cpu_percent": vk["cpu_percent"] < 0.5, "writes_a_minute": own <= 7}
        return {"writes_a_minute": own, "reached": reached}
    ratio = {name: round(vk[name] / bare[name], 2) for name in _RATIOS if bare[name]}
    reached = _create(pods, vk, ratio) if case == "create" else {"seconds": ratio["seconds"] <= 1.3}
    return {"ratio": ratio, "reached": reached}


def _create(pods: int, vk: Figures, ratio: dict[str, float]) -> dict[str, bool]:
    return {
        "pods_per_s": ratio["pods_per_s"] >= 0.85,
        "cpu_ms_per_pod": ratio["cpu_ms_per_pod"] < 2.0,
        "p99_s": vk["p99_s"] < (1.5 if pods <= 1000 else 4.0),
        "mb_per_1000_pods": vk["mb_per_1000_pods"] < 25.0,
    }


def _restart(vk: Figures) -> dict[str, bool]:
    return {
        "seconds_to_act": vk["seconds_to_act"] <= 3.0,
        "redundant_writes": vk["redundant_writes"] == 0,
        "double_creates": vk["double_creates"] == 0,
    }
