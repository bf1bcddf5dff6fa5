"""Numbers in files, read straight into arrays."""

from __future__ import annotations

import io

import numpy as np
import pytest

from sightline.data import disk
from sightline.data.disk import disk_array, read_into, written
from sightline.data.fingerprint import Fingerprint


@pytest.mark.parametrize("shape", [(50,), (50, 3)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32])
def test_slices_are_those_of_the_array(tmp_path, shape, dtype):
    values = (np.random.default_rng(0).normal(size=shape) * 100).astype(dtype)
    found = written([values[:7], values[7:]], tmp_path / "a.bin", dtype, shape)
    for part in (slice(None), slice(3, 11), slice(48, 99), slice(9, 2), slice(-4, None)):
        np.testing.assert_array_equal(found[part], values[part])
        assert found[part].dtype == dtype
    part = found[2:4]
    part[:] = 0  # a copy, which changes no file
    np.testing.assert_array_equal(disk_array(tmp_path / "a.bin", dtype, shape)[2:4], values[2:4])


def test_a_file_that_was_cut_is_said(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(np.arange(10.0).tobytes())
    found = np.empty(4)
    read_into(path, found, 48)
    assert found.tolist() == [6.0, 7.0, 8.0, 9.0]
    with pytest.raises(OSError, match="shorter than what was written to it"):
        read_into(path, found, 56)
    read_into(path, np.empty(0), 800)  # nothing is asked for


def test_a_read_that_comes_in_parts(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    path.write_bytes(np.arange(100.0).tobytes())

    class Slow(io.FileIO):
        def readinto(self, into):
            return super().readinto(memoryview(into)[:13])

    monkeypatch.setattr(disk, "open", lambda path, mode, buffering: Slow(path), raising=False)
    found = np.empty(80)
    read_into(path, found, 80)
    assert found.tolist() == np.arange(10.0, 90.0).tolist()


def test_a_fingerprint_that_is_taken_beside(tmp_path):
    import hashlib

    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(256)) * 20_000)
    beside = Fingerprint(str(path))
    beside.start()
    assert beside() == beside() == Fingerprint(str(path))() == hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(FileNotFoundError):
        Fingerprint(str(tmp_path / "none"))()
    gone = Fingerprint(str(tmp_path / "none"))
    gone.start()
    with pytest.raises(FileNotFoundError):
        gone()
    left = Fingerprint(str(path))
    left.stop()
    left.start()
    with pytest.raises(InterruptedError):  # and not the digest of a part
        left()
