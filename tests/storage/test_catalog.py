"""Labels and splits from every kind of list, and a validation part that never parts a source."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.catalog.catalog import Clip, load_catalog
from storage.catalog.groups import cut_validation, group_of
from storage.errors import UserError


def write(folder: Path, **files: str) -> Path:
    """Files by name, `__` standing for a dot."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def ucf(folder: Path) -> Path:
    return write(
        folder,
        classInd__txt="1 Run\n2 Walk\n",
        trainlist01__txt="".join(
            f"{c}/v_{c}_g{g:02d}_c{k:02d}.avi {n}\n"
            for n, c in enumerate(("Run", "Walk"), 1)
            for g in range(2, 12)
            for k in (1, 2)
        ),
        testlist01__txt="Run/v_Run_g01_c01.avi\nWalk/v_Walk_g01_c01.avi\n",
    )


@pytest.mark.parametrize("lists", ["ucf101", "ucf101_crlf"])
def test_official_ucf_lists(shared_data: Path, lists: str) -> None:
    catalog = load_catalog(shared_data / "lists" / lists)
    assert catalog.name == "ucf"
    assert catalog.splits == (1, 2, 3)
    assert len(catalog.classes) == 101
    assert (catalog.classes[0], catalog.classes[36]) == ("ApplyEyeMakeup", "HandstandPushups")
    for split, (train, test) in {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}.items():
        parts = {part: catalog.part(split, part) for part in ("train", "validation", "test")}
        assert len(parts["train"]) + len(parts["validation"]) == train
        assert len(parts["test"]) == test
        assert 0.12 < len(parts["validation"]) / train < 0.2
        groups = {part: {clip.group for clip in clips} for part, clips in parts.items()}
        assert not groups["train"] & groups["validation"]
        assert not groups["test"] & (groups["train"] | groups["validation"])
        assert {clip.label for clip in parts["validation"]} == set(range(101))
    stands = [c for c in catalog.part(1, "test") if c.label == 36]
    assert stands[0].video == "HandstandPushups/v_HandStandPushups_g01_c01"


def test_line_ends_change_nothing(shared_data: Path) -> None:
    lists = shared_data / "lists"
    lf, crlf = load_catalog(lists / "ucf101"), load_catalog(lists / "ucf101_crlf")
    assert lf.fingerprint == crlf.fingerprint
    assert lf.part(2, "validation") == crlf.part(2, "validation")


def test_official_hmdb_lists(shared_data: Path) -> None:
    catalog = load_catalog(shared_data / "lists" / "hmdb51")
    assert (catalog.name, len(catalog.classes), catalog.splits) == ("hmdb", 51, (1, 2, 3))
    for split in catalog.splits:
        parts = {part: catalog.part(split, part) for part in ("train", "validation", "test")}
        assert len(parts["train"]) + len(parts["validation"]) == 3570
        assert len(parts["test"]) == 1530
        groups = {part: {clip.group for clip in clips} for part, clips in parts.items()}
        assert not groups["train"] & groups["validation"]
    assert catalog.part(1, "train")[0] == Clip(
        "brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0", 0, "April_09"
    )


def test_the_surveillance_lists_share_no_film_between_parts(shared_data: Path) -> None:
    """As HMDB-51's lists, the film is the group; the same lists as a CSV give the same parts."""
    lists = shared_data / "lists" / "surveillance"
    catalogs = [load_catalog(lists, official_counts=False), load_catalog(lists / "index.csv")]
    assert [catalog.name for catalog in catalogs] == ["hmdb", "csv"]
    for catalog in catalogs:
        assert catalog.classes == ("fight", "noFight")
        parts = {part: catalog.part(1, part) for part in ("train", "validation", "test")}
        assert len(parts["train"]) + len(parts["validation"]) == 206
        assert len(parts["test"]) == 94
        films = {part: {clip.group for clip in clips} for part, clips in parts.items()}
        assert len(films["train"] | films["validation"] | films["test"]) == 46
        assert not films["test"] & (films["train"] | films["validation"])
        assert not films["train"] & films["validation"]


def test_cut_official_lists_are_noticed(shared_data: Path, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    shutil.copytree(shared_data / "lists" / "ucf101", lists)
    file = lists / "trainlist01.txt"
    file.write_text("".join(line + "\n" for line in file.read_text().splitlines()[:-5]))
    with pytest.raises(UserError, match=r"9532 training and 3783 test .* 9537 and 3783.*--any-c"):
        load_catalog(lists)
    assert len(load_catalog(lists, official_counts=False).classes) == 101
    hmdb = tmp_path / "hmdb"
    shutil.copytree(shared_data / "lists" / "hmdb51", hmdb)
    file = hmdb / "wave_test_split2.txt"
    file.write_text(file.read_text().replace(" 2", " 0", 1))
    with pytest.raises(UserError, match=r"split 2 of HMDB-51 lists 3570 training and 1529"):
        load_catalog(hmdb)
    (hmdb / "wave_test_split3.txt").unlink()
    with pytest.raises(UserError, match="split 3 has no list of wave"):
        load_catalog(hmdb)


def test_ucf_rows(tmp_path: Path) -> None:
    catalog = load_catalog(ucf(tmp_path / "lists"))
    assert catalog.classes == ("Run", "Walk")
    assert catalog.part(1, "test")[1] == Clip("Walk/v_Walk_g01_c01", 1, "Walk_g01")
    train, held = catalog.part(1, "train"), catalog.part(1, "validation")
    assert (len(train), len(held)) == (32, 8)
    # the same scenes are held out of every class
    assert {c.group[-3:] for c in held if c.label == 0} == {
        c.group[-3:] for c in held if c.label == 1
    }
    assert load_catalog(tmp_path / "lists", validation=0).part(1, "validation") == []
    assert "2 classes, splits 1" in repr(catalog)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("trainlist01.txt", "Fly/v_Fly_g01_c01.avi 1\n", "class 'Fly' is not in classInd.txt"),
        ("trainlist01.txt", "Run/a.avi 2\n", r"carries number 2, but classInd.txt numbers Run 1"),
        ("trainlist01.txt", "Run/a.avi 1\nRun/a.avi 1\n", r"lists 'Run/a' twice \(train and train"),
        ("trainlist01.txt", "Run/v_Run_g01_c01.avi 1\n", r"twice \(train and test"),
        ("classInd.txt", "1 Run\n3 Walk\n", "without gaps"),
        ("classInd.txt", "1 Run\n2 Walk\n3 Run\n", "names the class 'Run' twice"),
        ("classInd.txt", "Run\nWalk\n", r"classInd.txt:1: 'Run' is not `number name`"),
        ("classInd.txt", "", "without gaps"),
    ],
)
def test_wrong_ucf_lists(tmp_path: Path, file: str, text: str, said: str) -> None:
    lists = ucf(tmp_path / "lists")
    (lists / file).write_text(text)
    with pytest.raises(UserError, match=said):
        load_catalog(lists)


def test_lists_without_videos_or_splits(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no split"):
        load_catalog(write(tmp_path / "a", classInd__txt="1 A\n2 B\n"))
    with pytest.raises(UserError, match="lists no video"):
        load_catalog(write(tmp_path / "b", classInd__txt="1 A\n", trainlist01__txt="\n\n"))
    with pytest.raises(UserError, match=r"split 4 is not in .*; it has 1"):
        load_catalog(ucf(tmp_path / "c")).part(4)
    with pytest.raises(UserError, match="part 'dev'"):
        load_catalog(tmp_path / "c").part(1, "dev")
    with pytest.raises(UserError, match="validation share 1"):
        load_catalog(tmp_path / "c", validation=1)


def test_what_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist; --labels takes UCF-101 lists"):
        load_catalog(tmp_path / "absent")
    with pytest.raises(UserError, match="none of the label lists"):
        load_catalog(tmp_path)
    (tmp_path / "a_test_split1.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a text file in UTF-8"):
        load_catalog(tmp_path)


def test_tsn_lists(tmp_path: Path) -> None:
    rows = "".join(
        f"/data/ucf/v_{name}_g{group:02d}_c01 120 {label}\n"
        for group in range(2, 9)
        for label, name in enumerate(("Run", "Walk"))
    )
    test = "/data/ucf/v_Run_g01_c01 99 0\n/data/ucf/v_Walk_g01_c01 98 1\n"
    lists = write(
        tmp_path / "lists",
        ucf101_rgb_train_split_2__txt=rows,
        ucf101_rgb_val_split_2__txt=test,
        ucf101_flow_train_split_2__txt=rows,
        ucf101_flow_val_split_2__txt=test,
        notes__txt="train hard\n",
    )
    for path in (lists, lists / "ucf101_rgb_train_split_2.txt"):
        catalog = load_catalog(path)
        assert (catalog.name, catalog.splits, catalog.classes) == ("tsn", (2,), ("Run", "Walk"))
        assert catalog.part(2, "test")[1] == Clip("/data/ucf/v_Walk_g01_c01", 1, "Walk_g01")
        assert len(catalog.part(2, "train")) == 12
    write(lists, classInd__txt="")  # an empty class file is not UCF's
    (lists / "classInd.txt").unlink()
    write(lists, classes__txt="running\nwalking\n")
    assert load_catalog(lists).classes == ("running", "walking")
    write(lists, classes__txt="running\n")
    with pytest.raises(UserError, match="names 1 classes; the lists use 2"):
        load_catalog(lists)
    write(lists, classes__txt="running\nrunning\n")
    with pytest.raises(UserError, match=r"names the class .* twice"):
        load_catalog(lists)
    (lists / "classes.txt").unlink()
    write(lists, ucf101_flow_val_split_2__txt="/data/ucf/v_Run_g01_c02 99 0\n")
    with pytest.raises(UserError, match="name different videos"):
        load_catalog(lists)


def test_tsn_lists_beside_their_own_class_file(tmp_path: Path) -> None:
    """As `twostream export --labels` writes them: classInd.txt is not a sign of UCF-101's lists."""
    lists = write(
        tmp_path / "rawframes",
        classInd__txt="1 Run\n2 Walk\n",
        train_split_1_rgb__txt="a/x 10 0\na/y 12 1\n",
        train_split_1_flow__txt="a/x 9 0\na/y 11 1\n",
        val_split_1_flow__txt="a/v 9 0\n",
    )
    catalog = load_catalog(lists)
    assert (catalog.name, catalog.classes) == ("tsn", ("Run", "Walk"))
    assert [clip.video for clip in catalog.part(1, "test")] == ["a/v"]

    write(lists, test_split_1_flow__txt="a/t 9 1\n")
    catalog = load_catalog(lists)
    assert [clip.video for clip in catalog.part(1, "test")] == ["a/t"]
    assert [clip.video for clip in catalog.part(1, "validation")] == ["a/v"]
    assert [clip.video for clip in catalog.part(1, "train")] == ["a/x", "a/y"]

    write(lists, val_split_1_flow__txt="a/t 9 1\n")
    assert [clip.video for clip in load_catalog(lists).part(1, "test")] == ["a/t"]

    (lists / "trainlist01.txt").write_text("Run/v_Run_g01_c01.avi 1\n")
    assert load_catalog(lists).name == "ucf"


def test_tsn_lists_without_class_names(tmp_path: Path) -> None:
    lists = write(tmp_path / "lists", train__txt="a b 10 0\nc 12 1\n", val__txt="d 10 0\n")
    catalog = load_catalog(lists)
    assert catalog.classes == ("class 0", "class 1")
    assert catalog.part(1, "train") == [Clip("a b", 0, "a b"), Clip("c", 1, "c")]
    write(lists, val__txt="d 10 0\n\n" + "x 1 0\n" * 10 + "broken\n")
    with pytest.raises(UserError, match=r"val.txt:13: 'broken' is not `path frames label`"):
        load_catalog(lists)


def test_kinetics_csv(tmp_path: Path) -> None:
    head = "label,youtube_id,time_start,time_end,split\n"
    lists = write(
        tmp_path / "k400",
        train__csv=head
        + "".join(
            f"push up,abcdefghij{i},10,20,train\nrun,ABCDEFGHIJ{i},0,10,train\n" for i in range(9)
        ),
        validate__csv=head + "run,XXXXXXXXXXX,5,15,validate\n",
        test__csv="youtube_id,time_start,time_end,split\nYYYYYYYYYYY,5,15,test\n",
    )
    catalog = load_catalog(lists)
    assert (catalog.name, catalog.classes) == ("csv", ("push up", "run"))
    assert catalog.part(1, "test") == [Clip("run/XXXXXXXXXXX_000005_000015", 1, "XXXXXXXXXXX")]
    assert len(catalog.part(1, "train")) + len(catalog.part(1, "validation")) == 18
    # two pieces of one film stay together
    held = catalog.part(1, "validation")
    assert {c.group for c in held}.isdisjoint(c.group for c in catalog.part(1, "train"))


def test_own_csv(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(
        "video,label,split\na.mp4,x,train\nb.c.mp4,y,train\nd.mp4,x,val\ne.mp4,y,test\n"
    )
    catalog = load_catalog(file)
    assert [c.video for c in catalog.part(1, "train")] == ["a", "b.c"]
    assert [c.video for c in catalog.part(1, "validation")] == ["d"]
    assert [c.video for c in catalog.part(1, "test")] == ["e"]
    for text, said in (
        ("path,class\na,b\n", "must name the columns label and youtube_id"),
        ("video,label,split\na,b,dev\n", "mine.csv:2: split 'dev'"),
        ("youtube_id,label,split,time_start,time_end\na,b,train,x,y\n", "must be seconds"),
    ):
        file.write_text(text)
        with pytest.raises(UserError, match=said):
            load_catalog(file)


def test_class_folders(tmp_path: Path) -> None:
    for name in ("dive", "jump"):
        for i in range(10):
            video = tmp_path / "flat" / name / f"clip.{i}.mp4"
            video.parent.mkdir(parents=True, exist_ok=True)
            video.touch()
            parts = tmp_path / "parts" / ("train" if i < 8 else "val") / name / f"{i}.avi"
            parts.parent.mkdir(parents=True, exist_ok=True)
            parts.touch()
    catalog = load_catalog(tmp_path / "flat")
    assert (catalog.name, catalog.classes) == ("folders", ("dive", "jump"))
    counts = {part: len(catalog.part(1, part)) for part in ("train", "validation", "test")}
    assert counts == {"train": 12, "validation": 2, "test": 6}
    assert {c.video for c in catalog.part(1, "train")} < {
        f"{n}/clip.{i}" for n in catalog.classes for i in range(10)
    }
    given_parts = load_catalog(tmp_path / "parts")
    assert {c.video.split("/")[0] for c in given_parts.part(1, "test")} == {"val"}
    assert len(given_parts.part(1, "test")) == 4


def test_class_folders_may_be_links(tmp_path: Path) -> None:
    for name in ("dive", "jump"):
        (tmp_path / "all" / name).mkdir(parents=True)
        (tmp_path / "all" / name / "1.avi").touch()
        (tmp_path / "all" / name / "back").symlink_to(tmp_path / "all")  # a cycle
    picked = tmp_path / "picked"
    picked.mkdir()
    (picked / "dive").symlink_to(tmp_path / "all" / "dive")
    catalog = load_catalog(picked)
    assert "dive/1" in {c.video for part in ("train", "test") for c in catalog.part(1, part)}
    assert set(catalog.classes) <= {"dive", "jump"}


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12)), min_size=1, max_size=80),
    st.floats(0.01, 0.6),
)
def test_the_cut_keeps_groups_whole_and_classes_alive(
    rows: list[tuple[int, int]], share: float
) -> None:
    labels, groups = [label for label, _ in rows], [f"g{group}" for _, group in rows]
    held = cut_validation(labels, groups, share)
    kept = {label for label, out in zip(labels, held, strict=True) if not out}
    assert kept == set(labels)
    for group in set(groups):
        assert len({out for out, name in zip(held, groups, strict=True) if name == group}) == 1
    order = sorted(range(len(rows)), key=lambda i: (groups[i], labels[i], i))
    again = cut_validation([labels[i] for i in order], [groups[i] for i in order], share)
    assert [held[i] for i in order] == again


@pytest.mark.parametrize(
    ("video", "group"),
    [
        ("Biking/v_Biking_g07_c03", "Biking_g07"),
        ("x/v_Ice_Dancing_g11_c01", "Ice_Dancing_g11"),
        ("wave/TrumanShow_wave_f_nm_np1_fr_med_26", "TrumanShow"),
        ("/data/hmdb51/wave/TrumanShow_wave_f_nm_np1_fr_med_26", "TrumanShow"),
        ("abseiling/zzzzzzzzzzz_000012_000022", "zzzzzzzzzzz"),
        ("holiday/beach 1", "holiday/beach 1"),
    ],
)
def test_sources(video: str, group: str) -> None:
    assert group_of(video) == group


@pytest.mark.parametrize("name", ["trainlist01.txt", "testlist03.txt", "jump_test_split1.txt"])
def test_one_list_of_a_folder_is_answered_with_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("Jump/v_Jump_g01_c01.avi 1\n")
    with pytest.raises(UserError, match=f"{name} is one of .*give the folder: --labels {tmp_path}"):
        load_catalog(tmp_path / name)


def test_a_csv_may_name_the_groups(tmp_path: Path) -> None:
    """Clips of one film under names that say nothing of it: one group, never parted."""
    rows = [f"clip{i:02d},{'xy'[i % 2]},train,film{i // 4}" for i in range(40)]
    file = tmp_path / "mine.csv"
    file.write_text("\n".join(["video,label,split,group", *rows, "last,x,test,", "end,y,test,f"]))
    catalog = load_catalog(file)
    assert [c.group for c in catalog.part(1, "test")] == ["last", "f"]  # its name, where not said
    films = [{c.group for c in catalog.part(1, part)} for part in ("train", "validation")]
    assert films[0] | films[1] == {f"film{i}" for i in range(10)}
    assert films[0].isdisjoint(films[1])
    file.write_text(file.read_text().replace("film3", "film4"))
    assert load_catalog(file).fingerprint != catalog.fingerprint


def test_without_named_groups_the_fingerprint_is_that_of_before(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("video,label,split\na,x,train\nb,y,train\nc,x,test\nd,y,test\n")
    assert load_catalog(file).fingerprint == "f537cf83047c8543"
