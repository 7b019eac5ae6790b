"""What `down` finds on the machine, read from the kernel's own text."""

from __future__ import annotations

import os
from pathlib import Path

from cluster.leftovers import carries, interfaces, members, mounts_below
from cluster.supervise import stat_fields

STATE = Path("/tmp/tidegate-cluster")
MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
90 22 0:50 / /tmp/tidegate-cluster/etcd rw - tmpfs tmpfs rw
91 90 0:51 / /tmp/tidegate-cluster/kubelet/pods/a/volumes/v rw - tmpfs tmpfs rw
92 22 0:52 / /tmp/tidegate-cluster-2/etcd rw - tmpfs tmpfs rw
93 22 0:53 / /tmp/with\\040space rw - tmpfs tmpfs rw
"""


def test_mounts_of_this_state_only_deepest_first() -> None:
    assert mounts_below(MOUNTS, STATE) == [
        "/tmp/tidegate-cluster/kubelet/pods/a/volumes/v",
        "/tmp/tidegate-cluster/etcd",
    ]


def test_escaped_mount_points_are_read() -> None:
    assert mounts_below(MOUNTS, Path("/tmp/with space")) == ["/tmp/with space"]


def test_a_path_that_only_begins_alike_is_not_ours() -> None:
    assert mounts_below(MOUNTS, Path("/tmp/tidegate")) == []


def test_only_our_bridges_count() -> None:
    table = "Inter-| Receive\n face |bytes\n    lo: 1 2\n  cni0: 3 4\n docker0: 5\n mycni0: 6\n"
    assert interfaces(table) == ["cni0"]


def test_a_container_is_found_through_its_shim() -> None:
    # 10 containerd, 20 a shim adopted by init, 21 and 22 its container, 30 someone else's
    parents = {1: 0, 10: 1, 20: 1, 21: 20, 22: 21, 30: 1, 31: 30}
    assert members([10, 20], parents) == [10, 20, 21, 22]


def test_nothing_is_ours_without_a_mark() -> None:
    assert members([], {1: 0, 2: 1}) == []
    assert not carries(b"TIDEGATE_CLUSTER_RUN=\0A=1\0", "")


def test_only_the_whole_mark_of_this_run_counts() -> None:
    environ = b"PATH=/bin\0TIDEGATE_CLUSTER_RUN=abc\0HOME=/\0"
    assert carries(environ, "abc")
    assert not carries(environ, "ab")
    assert not carries(environ, "abcd")
    assert not carries(b"X=TIDEGATE_CLUSTER_RUN=abc\0", "abc")


def test_a_command_name_with_brackets_and_blanks_does_not_shift_fields() -> None:
    fields = stat_fields("12 (a) b (c) S 7 12 12 0 -1")
    assert fields[:2] == ["S", "7"]
    own = stat_fields(Path("/proc/self/stat").read_text())
    assert int(own[1]) == os.getppid()
