"""The catalogue is TotalSegmentator's own: every task and mode of it; to read it, nothing is run, written or asked."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT
from totalsegmentator.map_tasks_config import TASK_CONFIGS, TASK_ID_WEIGHTS_CONFIGS
from totalsegmentator.map_to_binary import class_map
from totalsegmentator.registry import TASKS, requires_license, task_modality

from TuckerSegLib.errors import InputError, ModelError
from TuckerSegLib.models.totalsegmentator.tasks import task, task_names


def test_every_task_and_mode_is_listed() -> None:
    bases = {name.partition("-")[0] for name in task_names()}
    assert bases == set(TASKS) - {"test"}
    modes = {(base, mode) for base, row in TASK_CONFIGS.items() for mode in row.get("sub_modes", ()) if base != "test"}
    assert {name for name in task_names() if "-fast" in name} == {f"{b}-{m}" for b, m in modes if m != "default"}


@pytest.mark.parametrize("name", task_names())
def test_a_task_says_what_totalsegmentator_says(name: str) -> None:
    known = task(name)
    assert known.name == name
    assert known.structures == class_map[known.base]
    assert known.modality == task_modality(known.base)
    assert known.licensed == requires_license(known.base)
    row = TASK_CONFIGS[known.base]
    mode = name.partition("-")[2]
    row = row["sub_modes"][mode if mode in row["sub_modes"] else "default"] if "sub_modes" in row else row
    numbers = row["task_id"] if isinstance(row["task_id"], list) else [row["task_id"]]
    assert [network.number for network in known.networks] == numbers
    for network in known.all_networks():
        assert network.dataset == TASK_ID_WEIGHTS_CONFIGS[network.number]["foldername"]
        assert (network.url is None) or network.url.endswith(f"/{network.dataset}.zip")
    for number, part in known.parts.items():
        assert set(part.values()) <= set(known.structures.values()), number


def test_networks_come_in_the_order_they_run() -> None:
    assert [network.number for network in task("teeth").all_networks()] == [298, 115, 113]
    assert [network.number for network in task("total").all_networks()] == [291, 292, 293, 294, 295]


def test_folders_are_named_as_totalsegmentator_unpacks_them() -> None:
    (network,) = task("total-fast").networks
    assert network.folder == (
        "Dataset297_TotalSegmentator_total_3mm_1559subj/nnUNetTrainer_4000epochs_NoMirroring__nnUNetPlans__3d_fullres"
    )
    assert task("total_v3-small").networks[0].folder.endswith("__nnUNetResEncUNetLPlans_8__3d_fullres")


def test_a_licence_is_asked_for_by_the_name_the_server_knows() -> None:
    assert task("heartchambers_highres").networks[0].licence_name == "heartchambers_highres"
    assert task("total").networks[0].licence_name is None


def test_some_structures_need_only_the_networks_that_hold_them() -> None:
    two = task("total").only(["liver", "rib_left_1"])
    assert [network.number for network in two.all_networks()] == [298, 291, 295]
    assert two.found == {5: "liver", 92: "rib_left_1"}
    assert two.crop is not None and two.crop.task.name == "total-fastest"
    assert [network.number for network in task("total_mr").only(["spleen"]).all_networks()] == [852, 850]


def test_what_no_network_can_look_for_alone_is_refused() -> None:
    with pytest.raises(InputError, match="vertebrae_L6"):
        task("total_v3").only(["vertebrae_L6"])


def test_an_unknown_task_is_met_with_the_nearest() -> None:
    with pytest.raises(ModelError, match="lung_vessels"):
        task("lung_vesels")


def test_reading_it_needs_no_pytorch_writes_nothing_and_asks_nobody(tmp_path: Path) -> None:
    program = """if True:
        import json, socket, sys
        def refuse(*_): raise AssertionError("a socket")
        socket.socket = socket.getaddrinfo = refuse
        from TuckerSegLib.models.totalsegmentator.tasks import task, task_names
        from TuckerSegLib.models.totalsegmentator.weights import is_installed
        tasks = [task(name) for name in task_names()]
        installed = [known.name for known in tasks if is_installed(known)]
        print(json.dumps([len(tasks), installed, "torch" in sys.modules, "nnunetv2" in sys.modules]))
    """
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TOTALSEG")}
    done = subprocess.run([sys.executable, "-c", program], env={**environment, **home}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [len(task_names()), [], False, False]
    assert list(tmp_path.iterdir()) == []
