"""What the benchmark drivers share: rows of a known kind, runs of demarc, JSON lines to go on from, spreads."""
import hashlib
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import h5py
import numpy as np

BLOCK = 65536  # rows drawn, or evaluated, at a time


def say(text):
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def write_rows(path, n, d, k, seed=7):
    """/features float32 [n, d], contiguous: 1.5 k Gaussian clusters about 3.5 sd apart, 5% uniform noise.

    The kind of rows of micro/lloyd_pass.c. Kept: nothing is done if the file is there. Rows depend on (seed, block) only.
    """
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    say(f"writing {path}")
    clusters = k + k // 2
    mean = np.random.default_rng([seed]).normal(0.0, 1.5 * 3.5 / (2 * d) ** 0.5, (clusters, d)).astype(np.float32)
    part = path.with_suffix(".part")
    with h5py.File(part, "w") as f:
        rows = f.create_dataset("features", (n, d), "f4")
        for block, begin in enumerate(range(0, n, BLOCK)):
            rng = np.random.default_rng([seed, block])
            m = min(BLOCK, n - begin)
            x = mean[rng.integers(0, clusters, m)]
            x += rng.standard_normal((m, d), np.float32)
            noise = rng.random(m) < 0.05
            x[noise] = rng.uniform(-4.0, 4.0, (int(noise.sum()), d))
            rows[begin:begin + m] = x
    with open(part, "rb+") as f:
        os.fsync(f.fileno())
    part.rename(path)
    return path


def write_centroids(path, c):
    with h5py.File(path, "w") as f:
        f["centroids"] = np.asarray(c, np.float64)
    return path


def program(path):
    """Absolute path of a program that is named by a path; ends the run when there is none."""
    path = pathlib.Path(path).absolute()
    if not os.access(path, os.X_OK) or path.is_dir():
        sys.exit(f"{path} is not a program: build it first (cmake --build --preset release)")
    return path


def identity(path):
    """Of a build: lines that another build measured are not gone on from."""
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()[:12]


def machine():
    """What the figures belong to."""
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "system": platform.platform(),
            "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "load": os.getloadavg()[0],
            "utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


class Demarc:
    """Runs the program and reads what it wrote."""

    def __init__(self, binary, folder, threads):
        self.binary, self.folder, self.threads = program(binary), folder, threads
        self.identity = identity(binary)
        self.env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                        OMPI_MCA_rmaps_base_oversubscribe="1", OMP_NUM_THREADS=str(threads))
        self.env.pop("OPENBLAS_CORETYPE", None)  # the program picks it

    def launch(self, ranks):
        return ["mpirun", "--bind-to", "none", "-n", str(ranks)] if ranks else []

    def fit(self, data, *options, ranks=0):
        """One fit into FOLDER/run. ranks 0: without a launcher. @return wall seconds, manifest, diagnostics"""
        out = self.folder / "run"
        command = [*self.launch(ranks), self.binary, "fit", data, "--out", out, "--force", "--quiet", "--threads",
                   self.threads, *options]
        start = time.perf_counter()
        done = subprocess.run([str(c) for c in command], env=self.env, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
        wall = time.perf_counter() - start
        if done.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))}\nexit code {done.returncode}: {done.stderr.strip()}")
        return wall, json.loads((out / "manifest.json").read_text()), json.loads((out / "diagnostics.json").read_text())

    def centroids(self):
        with h5py.File(self.folder / "run/model.h5") as f:
            return f["centroids"][()]


def phase_seconds(manifest):
    return {p["name"]: p["seconds"] for p in manifest["phases"]}


class Lines:
    """JSON lines, one a measured round. A run with the same file goes on after the rounds that it holds."""

    def __init__(self, path):
        self.path, self.all = path, []
        if path and path.exists():
            text = path.read_text()
            if text and not text.endswith("\n"):  # a run was stopped while it wrote
                path.write_text(text + "\n")
            for number, line in enumerate(text.splitlines(), 1):
                try:
                    self.all.append(json.loads(line))
                except ValueError:
                    say(f"{path}: line {number} is cut off and left out")

    def round(self, key, measure):
        """The round of this key: from the file, or measured (a dict) and appended."""
        for line in self.all:
            if line["key"] == key:
                say(f"measured before: {key}")
                return line
        line = {"key": key, "machine": machine(), **measure()}
        self.all.append(line)
        if self.path:
            with open(self.path, "a") as f:
                f.write(json.dumps(line) + "\n")
        return line


def spread(values, form="{:.2f}"):
    """median (min-max)"""
    return f"{form.format(statistics.median(values))} ({form.format(min(values))}-{form.format(max(values))})"


def table(head, rows):
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print(flush=True)


def manifest_layout(manifest):
    """The part of a manifest that a JSON line keeps."""
    return {"versions": manifest["versions"], "layout": manifest["layout"], "objective": manifest["result"]["objective"],
            "digest": manifest["result"]["digest"], "phases": phase_seconds(manifest), "seconds": manifest["seconds"],
            "peak_memory": max(manifest["peak_memory_bytes_per_rank"])}
