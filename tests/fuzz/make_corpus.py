#!/usr/bin/env python3
"""Write the seeds of the fuzz targets: small valid files of every shape that the readers know.

    tests/fuzz/make_corpus.py FOLDER [FUZZ_CHECKPOINT]

States of a fit are made by the target that reads them, if it is named.
HDF5's newest format is small but guards its headers by checksums, so a changed byte rarely gets past them; the oldest
has none. Both are among the seeds.
"""
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

import h5py
import numpy as np

MOST = 6000  # bytes a seed; a larger one is left out
NAMES = np.array([b"recency", b"spend"])


class Compact:
    """A file whose small datasets lie in their headers, which keeps seeds small."""

    def __init__(self, group):
        self.group, self.attrs = group, group.attrs

    def create_dataset(self, name, data):
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        return self.group.create_dataset(name, data=data, dcpl=plist)

    def __setitem__(self, name, data):
        self.create_dataset(name, data)

    def __getitem__(self, name):
        return self.group[name]


def customers(f, kind):
    x = np.arange(12.0).reshape(6, 2)
    if kind == "plain":
        f.create_dataset("features", data=x.astype("f4")).attrs["feature_names"] = NAMES
        f["id"] = np.arange(6) * 3
    elif kind == "chunked":
        f.create_dataset("features", data=x, chunks=(4, 1), compression="gzip", shuffle=True, fletcher32=True)
        f["id"] = np.array([b"a", b"bb", b"c", b"d", b"e", b"f"])
        f["weight"] = np.ones(6, "f4")
    elif kind == "campaign":
        f.create_dataset("features", data=x.astype("i2"))
        f.create_dataset("outcomes", data=x[:, :1]).attrs["outcome_names"] = NAMES[1:]
        f.create_dataset("arm", data=np.arange(6, dtype="i1") % 2).attrs["arm_names"] = np.array([b"none", b"mail"])
        f["propensity"] = np.full((6, 2), 0.5, "f4")
        f["reachable"] = np.ones((6, 2), "u1")
    elif kind == "half":
        f["features"] = x.astype(">f2")
        f["id"] = np.arange(6, dtype="u8")
    elif kind == "texts":
        f["features"] = x.astype(bool)
        f["id"] = np.array(["anna", "bert", "cleo", "dora", "emil", "fritz"], object)


def model(f):
    c = np.array([[1.0, 2.0], [3.0, 5.0]])
    f["transform/centroids"] = f["centroids"] = f["centroids_scaled"] = c
    f["offsets"] = np.zeros(2)
    f["size"] = np.array([3, 4])
    f.create_dataset("feature_names", data=NAMES).attrs["from_input"] = np.int64(1)
    t = Compact(f["transform"])
    t["log1p"], t["center"], t["factor"], t["origin"] = np.zeros(2, "u1"), np.zeros(2), np.ones(2), np.zeros(2)
    t.attrs.update({"unit": 1.0, "missing": np.bytes_("error"), "scale": np.bytes_("none")})
    f.attrs.update({"format_version": np.int64(1), "objective": 1.5, "seed": np.uint64(7), "iterations": np.int64(2),
                    "digest": np.bytes_("ab" * 16), "created_utc": np.bytes_("2026-01-01T00:00:00Z")})


def assignments(f, texts):
    f["id"] = np.array([b"x", b"yy", b"z"]) if texts else np.arange(3)
    f["segment"], f["runner_up"] = np.array([0, 1, 0], "i4"), np.array([1, 0, 1], "i4")
    f["distance"], f["margin"] = np.ones(3, "f4"), np.ones(3, "f4")


def offsets(f):
    f.attrs.update({"kind": np.bytes_("critical offsets"), "model_digest": np.bytes_("ab" * 16)})
    f["critical_offset"] = np.zeros((3, 2))


def experiment(f):
    n = 4
    f["id"], f["row"] = np.arange(n), np.arange(n)
    f["boundary"], f["segment"], f["other"] = np.zeros(n, "i4"), np.array([0, 0, 1, 1], "i4"), np.array([1, 1, 0, 0], "i4")
    f["margin"], f["stratum"] = np.ones(n), np.array([0, 1, 2, 3], "i4")
    f["arm"], f["propensity"] = np.array([0, 1, 0, 1], "i4"), np.full(n, 0.5)
    f["boundaries"], f["gap"], f["band"] = np.array([[0, 1]], "i4"), np.ones(1), np.ones(1)
    f.attrs.update({"kind": np.bytes_("experiment"), "format_version": np.int64(1), "model_digest": np.bytes_("ab" * 16),
                    "salt": np.bytes_("s"), "outcome": np.bytes_("spend"), "seed": np.uint64(1),
                    "distance_strata": np.int64(2), "customers": np.int64(n), "alpha": 0.05, "power": 0.8, "effect": 0.1,
                    "outcome_sd": 1.0, "switch_share": 0.5})


TEXTS = {
    "csv/plain": b"i\nid,a,b\n1,2.5,3\n2,NA,1e-3\n",
    "csv/quoted": b"ik\nid,a,c,d\n\"x\"\"1\",1,\"red, blue\",u\r\ny,2,,v\r\n",
    "csv/campaign": b"iaco3r\nid,a,arm,spend,mail\n1,2,none,3.5,yes\n2,4,mail,0,no\n",
    "csv/semicolon": b";xwf\na;b;e;w\n1;2;3;1\n-1;+.5e+3;x;2\n",
    "csv/mark": b"\n\xef\xbb\xbfa,b\n0x10,1\n",
    "config/plain": b"# comment\nrestarts = 3\nsegments = 2:5\nflag = true\ntext = \"a # b\"\n",
    "config/kinds": b"--choice = beta\nshare=0.25 # half\nroom = 1.5G\nseed = 18446744073709551615\ndelimiter = tab\nword=gamma\n",
    "config/twice": b"restarts = 3\nrestarts = 4\n",
    "options/plain": b"data.h5\n--segments\n2:5\n--room=512M\n--share\n0.5",
    "options/lists": b"-0.2,-0.1,0.1,0.2\n0-2,1-3\na,b,c,,d",
    "options/kinds": b"--choice=beta\n--word\nalpha\n--flag\n--seed\n1\n--customers\n1.5M\n--delimiter=;\n--config\n/dev/null",
    "options/help": b"--help\n--nope\n1e400\n-\n--\nd.h5",
}


def checkpoints(folder, target):
    """States (see fuzz_checkpoint.c) of different lengths, whole files, and rows of a final pass that are done."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        (pathlib.Path(made) / "nothing").write_bytes(b"-")
        subprocess.run([target, f"{made}/nothing"], env={**os.environ, "FUZZ_SEEDS": made}, check=True, stderr=subprocess.DEVNULL)
        states = sorted(pathlib.Path(made).glob("state-*"), key=lambda p: int(p.name.split("-")[1]))
        last = states[-1].read_bytes()[:-8]  # without the mark that nothing is kept
        kept = {p.stat().st_size: p.read_bytes() for p in states}
    for name, state in zip(range(9), list(kept.values())[::max(1, len(kept) // 8)]):
        (folder / f"state-{name}").write_bytes(b"s" + state)
        (folder / f"resume-{name}").write_bytes(b"r" + state)
    rows = struct.pack("<3q", 1, 0, 4096) + bytes(1800)
    (folder / "kept").write_bytes(b"k" + struct.pack("<H", len(last)) + last + rows)
    (folder / "nothing-kept").write_bytes(b"k" + struct.pack("<H", len(last)) + last + bytes(1800))
    (folder / "head").write_bytes(b"h" + struct.pack("<2q", 1, 2) + b"a\tb" + bytes(24))
    (folder / "file").write_bytes(b"f" + b"DEMARCCK" + struct.pack("<2I2q", 0x01020304, 1, 3, 0) + b"0" * 64)


def main():
    folder = pathlib.Path(sys.argv[1])
    hdf5 = {f"customer/{kind}": lambda f, kind=kind: customers(f, kind)
            for kind in ("plain", "chunked", "campaign", "half", "texts")}
    hdf5 |= {"model/model": model, "assignments/integers": lambda f: assignments(f, False),
             "assignments/texts": lambda f: assignments(f, True), "assignments/offsets": offsets, "experiment/experiment": experiment}
    for name, fill in hdf5.items():
        for version in ("latest", "earliest"):
            path = folder / f"{name}-{version}"
            path.parent.mkdir(parents=True, exist_ok=True)
            with h5py.File(path, "w", libver=version) as f:
                fill(f if name.startswith("customer") else Compact(f))
            if path.stat().st_size > MOST:
                path.unlink()
    if len(sys.argv) > 2:
        checkpoints(folder / "checkpoint", sys.argv[2])
    for name, data in TEXTS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    main()
