"""$(NAME) expansion, by the table of the kubelet's own tests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk.notation.expansion import expand_variables, referenced_names

VARIABLES = {
    "VAR_A": "A",
    "VAR_B": "B",
    "VAR_C": "C",
    "VAR_REF": "$(VAR_A)",
    "VAR_EMPTY": "",
    "$$": "never",
}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(VAR_A)", "A"),
        ("___$(VAR_B)___", "___B___"),
        ("___$(VAR_C)", "___C"),
        ("$(VAR_A)-$(VAR_A)", "A-A"),
        ("$(VAR_A)_$(VAR_B)_$(VAR_C)", "A_B_C"),
        ("$$(VAR_B)_$(VAR_A)", "$(VAR_B)_A"),
        ("$$(VAR_A)_$$(VAR_B)", "$(VAR_A)_$(VAR_B)"),
        ("f000-$$VAR_A", "f000-$VAR_A"),
        ("foo\\$(VAR_C)bar", "foo\\Cbar"),
        ("foo\\\\$(VAR_C)bar", "foo\\\\Cbar"),
        ("$(VAR_A$(VAR_B))", "$(VAR_A$(VAR_B))"),
        ("$(VAR_REF)", "$(VAR_A)"),
        ("$(VAR_EMPTY)", ""),
        ("$(VAR_A", "$(VAR_A"),
        ("$((VAR_A)$(", "$((VAR_A)$("),
        ("VAR_A", "VAR_A"),
        ("no operator", "no operator"),
        ("$VAR_A ${VAR_A} $? $! $", "$VAR_A ${VAR_A} $? $! $"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$$$(VAR_A)", "$A"),
        ("$$$$(VAR_A)", "$$(VAR_A)"),
        ("$$$$$(VAR_A)", "$$A"),
        ("VAR_A)", "VAR_A)"),
        ("$(VAR_A)$", "A$"),
        ("$(VAR_A)$$", "A$"),
        ("$($($($($(", "$($($($($("),
        ("$($$)", "never"),
        ("a\n$(VAR_A)\n", "a\nA\n"),
        ("$(VAR_\nA)", "$(VAR_\nA)"),
        ("$()", "$()"),
        ("", ""),
    ],
)
def test_references_are_filled_in(text: str, expanded: str) -> None:
    assert expand_variables(text, VARIABLES) == expanded


def by_the_letter(text: str, variables: dict[str, str]) -> str:
    """The kubelet's loop, character by character."""
    out, at = "", 0
    while at < len(text):
        following = text[at + 1 : at + 2]
        if text[at] != "$" or not following:
            out, at = out + text[at], at + 1
        elif following == "(" and ")" in text[at:]:
            end = text.index(")", at)
            name = text[at + 2 : end]
            out, at = out + variables.get(name, f"$({name})"), end + 1
        else:
            out, at = out + ("$" if following == "$" else "$" + following), at + 2
    return out


@given(st.text(alphabet="$()AB \n", max_size=30))
def test_it_agrees_with_the_kubelets_loop(text: str) -> None:
    variables = {"A": "1", "B": "$(A)"}
    assert expand_variables(text, variables) == by_the_letter(text, variables)


def test_a_hostile_text_takes_linear_time() -> None:
    text = "$(" * 200_000
    assert expand_variables(text, {}) == text


def test_the_names_of_references_are_known() -> None:
    assert list(referenced_names("$(A) $$(B) $(C)$(")) == ["A", "C"]
