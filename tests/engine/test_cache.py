"""The cache under events that come late, twice or not at all."""

from typing import Any

from fake_api import merged
from hypothesis import given
from hypothesis import strategies as st

from tidegate.engine.cache import Cache
from tidegate.engine.patch import merge_diff
from tidegate.kube.api import PODS


def pod(name: str, version: int, uid: str = "u") -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "ns",
            "name": name,
            "uid": uid,
            "resourceVersion": str(version),
        }
    }


@given(st.permutations(range(1, 8)))
def test_the_newest_version_wins_in_any_order(order: list[int]) -> None:
    cache = Cache()
    for version in order:
        cache.apply(PODS, pod("a", version))
    known = cache.get(PODS, "ns", "a")
    assert known is not None
    assert known["metadata"]["resourceVersion"] == "7"


def test_a_late_deletion_of_an_older_object_spares_its_successor() -> None:
    cache = Cache()
    cache.apply(PODS, pod("a", 9, uid="new"))
    assert not cache.remove(PODS, pod("a", 5, uid="old"))
    assert cache.get(PODS, "ns", "a") is not None


def test_a_full_list_removes_ghosts_but_not_what_came_after_it() -> None:
    cache = Cache()
    cache.apply(PODS, pod("ghost", 3))
    cache.apply(PODS, pod("fresh", 12))
    ghosts = cache.replace(PODS, [pod("kept", 4)], at=10)
    assert [g["metadata"]["name"] for g in ghosts] == ["ghost"]
    assert {o["metadata"]["name"] for o in cache.of(PODS, "ns")} == {"kept", "fresh"}
    assert cache.synced([PODS])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)
# A merge patch can't express a null value: objects of the API have none.
objects = st.dictionaries(
    st.text(max_size=2), json_values.filter(lambda v: v is not None and "None" not in repr(v))
)


@given(objects, objects)
def test_the_patch_turns_old_into_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert merged(old, merge_diff(old, new)) == new
    assert merge_diff(new, new) == {}
