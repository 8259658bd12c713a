"""Decoding: every oddity that files have, right; every fault that files have, by its name."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import video_files

from flow.video.reader import Frame, VideoError, VideoReader, probe

KINDS = [
    ("plain.avi", {}),
    ("h264.mp4", {"codec": "libx264"}),
    ("vp9.webm", {"codec": "libvpx-vp9"}),
    ("h264.mkv", {"codec": "libx264"}),
    ("mjpeg.avi", {"codec": "mjpeg", "pixels": "yuvj420p"}),
    ("mpeg2.mpg", {"codec": "mpeg2video"}),
    ("transport.ts", {"codec": "libx264"}),
    ("flash.flv", {"codec": "libx264"}),
    ("media.wmv", {"codec": "wmv2"}),
]


def read(path: Path, **options: bool) -> list[Frame]:
    with VideoReader(path, **options) as reader:
        return list(reader)


def fault(path: Path) -> VideoError:
    with pytest.raises(VideoError) as caught:
        read(path)
    return caught.value


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return video_files.moving(24)


@pytest.mark.parametrize(("name", "how"), KINDS, ids=[name for name, _ in KINDS])
def test_every_frame_comes_once_in_order_and_looks_like_itself(
    tmp_path: Path, frames: np.ndarray, name: str, how: dict[str, str]
) -> None:
    path = video_files.write(tmp_path / name, frames, **how)
    got = read(path)
    assert len(got) == 24
    assert [float(f.time) for f in got] == pytest.approx([i / 25 for i in range(24)], abs=2e-3)
    for i, frame in enumerate(got):
        differences = [np.abs(frame.rgb.astype(int) - other).mean() for other in frames]
        assert np.argmin(differences) == i
        assert differences[i] < 12
    assert probe(path).fps == pytest.approx(25, abs=0.05)


def test_pixels_are_those_that_opencv_decodes(tmp_path: Path, frames: np.ndarray) -> None:
    path = video_files.write(tmp_path / "a.avi", frames)
    capture = cv2.VideoCapture(str(path))
    for frame in read(path):
        assert np.array_equal(frame.rgb, capture.read()[1][..., ::-1])
    assert not capture.read()[0]


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_phone_video_is_turned_upright_as_players_do(
    tmp_path: Path, frames: np.ndarray, turn: int
) -> None:
    path = video_files.write(tmp_path / "phone.mp4", frames[:5], codec="libx264", turn=turn)
    got = read(path)[0].rgb
    player = cv2.VideoCapture(str(path)).read()[1][..., ::-1]
    assert np.array_equal(got, player)
    upright = np.rot90(frames[0], -turn // 90).astype(int)
    assert np.abs(got - upright).mean() < 12


def test_a_mirrored_picture_is_mirrored_back(tmp_path: Path, frames: np.ndarray) -> None:
    path = video_files.write(tmp_path / "selfie.mp4", frames[:5], codec="libx264")
    video_files.set_matrix(path, (-1, 0, 0, 1))
    assert np.abs(read(path)[0].rgb - frames[0][:, ::-1].astype(int)).mean() < 12


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("ten_bit.mkv", {"codec": "ffv1", "pixels": "yuv420p10le"}),
        ("grey.avi", {"codec": "ffv1", "pixels": "gray"}),
        ("grey16.mkv", {"codec": "ffv1", "pixels": "gray16le"}),
        ("alpha.mov", {"codec": "qtrle", "pixels": "argb"}),
        ("alpha.webm", {"codec": "libvpx-vp9", "pixels": "yuva420p"}),
        ("full_chroma.mp4", {"codec": "libx264", "pixels": "yuv444p"}),
        ("rgb.avi", {"codec": "rawvideo", "pixels": "bgr24"}),
        ("palette.gif", {"codec": "gif", "pixels": "rgb8"}),
    ],
)
def test_pixel_formats_become_rgb(
    tmp_path: Path, frames: np.ndarray, name: str, how: dict[str, str]
) -> None:
    got = read(video_files.write(tmp_path / name, frames[:6], **how))
    assert len(got) == 6
    grey = [np.dot(a.astype(float), [0.299, 0.587, 0.114]) for a in (got[5].rgb, frames[5])]
    assert np.abs(grey[0] - grey[1]).mean() < (25 if "gif" in name else 6)
    if "grey" in name:
        assert (got[0].rgb[..., 0] == got[0].rgb[..., 2]).all()


def test_pixels_that_ffmpeg_cannot_convert_are_the_videos_fault(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "packed.nut"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb4"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(64, 48, "rgb4")))
    error = fault(path)  # not an OSError, which would be taken for the store's disk
    assert (error.kind, error.frame) == ("decode error", 0)
    assert "rgb4 pixels do not become RGB" in str(error)
    with pytest.raises(VideoError, match="no frames"):
        read(path, tolerant=True)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("height", "width"), [(49, 65), (17, 101), (48, 33)])
def test_odd_sides(tmp_path: Path, height: int, width: int) -> None:
    path = video_files.write(tmp_path / "odd.mkv", video_files.moving(4, height, width),
                             codec="ffv1", pixels="yuv444p")  # fmt: skip
    assert [f.rgb.shape for f in read(path)] == [(height, width, 3)] * 4


def test_variable_frame_rate_keeps_its_time_stamps(tmp_path: Path, frames: np.ndarray) -> None:
    times = [0, 40, 80, 400, 440, 1000]
    path = video_files.write(tmp_path / "vfr.mp4", frames[:6], codec="libx264", times=times)
    assert [round(1000 * f.time) for f in read(path)] == times


def test_one_frame(tmp_path: Path, frames: np.ndarray) -> None:
    assert len(read(video_files.write(tmp_path / "one.avi", frames[:1]))) == 1


@pytest.mark.parametrize("name", ["plain.avi", "h264.mkv", "vp9.webm", "mjpeg.avi", "flash.flv"])
def test_truncated_is_said_with_the_frame(tmp_path: Path, frames: np.ndarray, name: str) -> None:
    path = video_files.write(tmp_path / name, np.concatenate([frames, frames]), **dict(KINDS)[name])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    error = fault(path)
    assert error.kind == "truncated"
    assert error.frame is not None
    assert 0 < error.frame < 40
    with VideoReader(path, tolerant=True) as reader:
        kept = len(list(reader))
    assert 0 <= kept - error.frame <= 8  # a tolerant reader also takes what the decoder held back
    assert reader.faults[-1].kind == "truncated"


def test_an_mp4_without_its_index_cannot_be_opened(tmp_path: Path, frames: np.ndarray) -> None:
    path = video_files.write(tmp_path / "a.mp4", frames, codec="libx264")
    path.write_bytes(path.read_bytes()[:2000])
    assert str(fault(path)) == "cannot open: moov atom not found"


def test_an_edit_list_that_leaves_frames_out_is_no_truncation(
    tmp_path: Path, frames: np.ndarray
) -> None:
    path = video_files.write(tmp_path / "cut.mp4", frames, codec="libx264", options={"g": "6"})
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 4 + 8 + 4  # version and flags, count, duration; then the start
    start = int.from_bytes(data[at : at + 4], "big")
    data[at : at + 4] = (start + 12 * 512).to_bytes(4, "big")  # 512 ticks of 1/12800 s a frame
    path.write_bytes(data)
    assert len(read(path)) == 12


def test_size_changed(tmp_path: Path, frames: np.ndarray) -> None:
    small = video_files.write(tmp_path / "s.mjpeg", frames[:5, :32], codec="mjpeg",
                              pixels="yuvj420p")  # fmt: skip
    large = video_files.write(tmp_path / "l.mjpeg", frames[:5], codec="mjpeg", pixels="yuvj420p")
    path = tmp_path / "both.mjpeg"
    path.write_bytes(large.read_bytes() + small.read_bytes())
    assert str(fault(path)) == "size changed at frame 5: 64x48 became 64x32"
    assert len(read(path, tolerant=True)) == 5


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.avi", b"", "cannot open: the file is empty (0 bytes)"),
        ("text.avi", b"this is no video\n" * 50, "cannot open: no video in any format"),
        ("list.mp4", b"ffconcat version 1.0\nfile /etc/hostname\n", "cannot open"),
        ("list.avi", b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/hostname\n", "cannot"),
        ("zeros.mkv", bytes(100_000), "cannot open"),
        ("header.avi", b"RIFF\xff\xff\xff\xffAVI LIST", "cannot open"),
    ],
)
def test_what_is_no_video(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert str(fault(path)).startswith(says)


def test_no_video_stream(tmp_path: Path) -> None:
    assert str(fault(video_files.write_audio(tmp_path / "a.wav"))) == (
        "no video stream: the file holds audio"
    )


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.avi")
    assert str(fault(tmp_path / "pipe.avi")) == "cannot open: not a regular file"
    assert str(fault(tmp_path)) == "cannot open: not a regular file"
    assert str(fault(tmp_path / "none.avi")) == "cannot open: No such file or directory"
    assert fault(tmp_path / "nul\0.avi").kind == "cannot open"
    assert fault(Path("/dev/zero")).kind == "cannot open"


@pytest.mark.parametrize(
    "name", ["a:b.avi", "http:x.avi", "%03d.avi", "ü ✓.avi", "-i.avi", "\\.avi"]
)
def test_a_name_is_only_a_name(tmp_path: Path, frames: np.ndarray, name: str) -> None:
    made = video_files.write(tmp_path / "plain.avi", frames[:3])
    assert len(read(made.rename(tmp_path / name))) == 3


def test_a_name_that_is_not_utf8(tmp_path: Path, frames: np.ndarray) -> None:
    made = video_files.write(tmp_path / "plain.avi", frames[:3])
    assert len(read(made.rename(tmp_path / os.fsdecode(b"\xff\xfe.avi")))) == 3


def test_nothing_is_printed(
    tmp_path: Path, frames: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    path = video_files.write(tmp_path / "a.avi", frames)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :: 97] = b"\x55" * len(data[len(data) // 2 :: 97])
    path.write_bytes(data)
    read(path, tolerant=True)
    assert capfd.readouterr() == ("", "")


def test_damage_is_found_and_a_tolerant_reader_goes_on(tmp_path: Path, frames: np.ndarray) -> None:
    path = video_files.write(tmp_path / "a.avi", frames)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = os.urandom(200)
    path.write_bytes(data)
    error = fault(path)
    assert error.kind in ("damaged", "decode error")
    with VideoReader(path, tolerant=True) as reader:
        assert len(list(reader)) > error.frame + 3
    assert reader.faults


def test_an_error_crosses_processes() -> None:
    error = pickle.loads(pickle.dumps(VideoError("truncated", "why", 7)))
    assert (error.kind, error.detail, error.frame) == ("truncated", "why", 7)
    assert str(error) == "truncated at frame 7: why"


def test_real_clips_are_whole(shared_data: Path) -> None:
    odd = sorted((shared_data / "clips" / "odd").iterdir())
    assert {p.name: len(read(p)) for p in odd} == {
        "R6llTwEh07w.mp4": 303,
        "RATRACE_wave_f_nm_np1_fr_goo_37.avi": 72,
        "SchoolRulesHowTheyHelpUs_wave_f_nm_np1_ba_med_0.avi": 74,
        "TrumanShow_wave_f_nm_np1_fr_med_26.avi": 48,
        "hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi": 83,
        "test.avi": 164,
    }
