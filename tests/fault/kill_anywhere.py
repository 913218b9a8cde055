#!/usr/bin/env python3
"""Kill a random rank of a fit (SIGKILL) at a random moment, resume on another layout, and demand the bytes of a run that
nobody disturbed.

    DEMARC=build/release/demarc kill_anywhere.py [--rounds N] [--seed S]

Round r of seed S is round 0 of seed S + r, so any round can be repeated: its seed is printed. Rounds take their aims in turn,
so that every phase is met: the trigger is a line of rank 0's log or a file that appears, and a delay drawn at random from
how long that phase takes here. A resumed run may be killed again. Some rounds replace older results.

Seen to hold all the time: the output is absent, the old results, or the new ones, all of it, and gets its name by one rename.
In the end: digest, every dataset and diagnostics.json as expected, and no hidden file beside the output. No rank and no
launcher outlives a killed one for long. Ends in a table of the phases in which ranks were killed; exit 0 = all was well,
and at least half the rounds killed a rank: aims that come too late try nothing.
"""
import argparse
import collections
import ctypes
import hashlib
import os
import pathlib
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import h5py

DEMARC = os.path.abspath(os.environ["DEMARC"])
ROWS, FEATURES = 700_000, 6
FIT = ["--segments", "4:5", "--restarts", "2", "--tolerance", "1e-9", "--max-iterations", "6", "--checkpoint-every", "0.03"]
HANG = 120         # seconds that a run may take, however busy the machine
AFTER_KILL = 30    # seconds until launcher and ranks are gone
FILES = {"model.h5", "assignments.h5", "diagnostics.json", "manifest.json"}
TOO_LATE = "too late"  # in place of a phase: the run was over before anybody was killed
LAST_BATCH = "mini-batch of 262144 rows"  # the largest sample of ROWS: full passes come next

# Phase by the last line of rank 0's log, the first that matches.
PHASES = [(rf"^{LAST_BATCH}|^pass \d+:", "full passes"), (r"^mini-batch of", "mini-batches"),
          (r"^rows looked at", "measuring k"), (r"^k 5:|^resumed: .* assigned", "final pass"), (r"^k-means\|\||^restart \d+:|^k \d+: ", "seeding"),
          (r"^resumed: .* (seeding|at their beginning)", "seeding"), (r"^resumed: .* mini-batches", "mini-batches"),
          (r"^resumed: .* full passes", "full passes"), (r"^resumed: .* criteria", "measuring k"),
          (r"^passes over the file", "scan")]
# What to wait for: a line of the log, or a file; and the most seconds to wait then.
AIMS = {
    "scan": (r"^passes over the file", 0.04),
    "seeding": (r"^k-means\|\| round", 0.02),
    "mini-batches": (r"^mini-batch of (?!262144)", 0.01),
    "full passes": (r"^pass \d+:", 0.01),
    "measuring k": (r"^rows looked at", 0.02),
    "final pass": ("assignments.h5", 0.04),
    "checkpoint": ("new", 0.0005),
    "results": ("manifest.json", 0.01),
    "named": ("run", 0.003),
    "anywhere": (None, None),
}


# ---------------------------------------------------------------------------------------------- watching files

class Watch:
    """inotify (man 7 inotify): names as they appear in folders, and writes to a file, without polling."""
    MODIFY, FROM, TO, CREATE = 0x2, 0x40, 0x80, 0x100

    def __init__(self):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self.paths = {}

    def add(self, path, mask=FROM | TO | CREATE):
        number = self.libc.inotify_add_watch(self.fd, os.fsencode(path), mask)
        if number >= 0:  # gone already otherwise
            self.paths[number] = path
        return number >= 0

    def events(self):
        """(folder, name, mask) of what has happened since the last call."""
        try:
            data = os.read(self.fd, 1 << 16)
        except BlockingIOError:
            return []
        found, at = [], 0
        while at < len(data):
            number, mask, _, length = struct.unpack_from("iIII", data, at)
            name = data[at + 16:at + 16 + length].rstrip(b"\0").decode()
            found.append((self.paths.get(number), name, mask))
            at += 16 + length
        return found

    def close(self):
        os.close(self.fd)


class Wrong(Exception):
    pass


def demand(true, what):
    if not true:
        raise Wrong(what)


def bytes_of(v):
    if not isinstance(v, h5py.Dataset):
        return b""
    return repr(list(v[()])).encode() if v.dtype.kind == "O" else v[()].tobytes()


def contents(folder):
    """Digest of each dataset, of diagnostics.json, and the result's own digest; raises where anything is missing."""
    folder = pathlib.Path(folder)
    demand({p.name for p in folder.iterdir()} == FILES, f"{folder} holds {sorted(p.name for p in folder.iterdir())}")
    found = {"diagnostics": (folder / "diagnostics.json").read_bytes()}
    demand((folder / "manifest.json").read_text().rstrip().endswith("}"), "manifest.json is cut")
    for file in ("model.h5", "assignments.h5"):
        with h5py.File(folder / file, "r") as f:
            f.visititems(lambda k, v: found.__setitem__(f"{file}/{k}", bytes_of(v)))
            if "digest" in f.attrs:
                found[f"{file} digest"] = bytes(str(f.attrs["digest"]), "ascii")
    return {k: hashlib.sha256(v).hexdigest()[:16] for k, v in found.items()}


# ---------------------------------------------------------------------------------------------- one run of the program

class Run:
    def __init__(self, place, layout, more, watch=True):
        self.place, (self.ranks, options) = place, layout
        self.out, self.log = place / "run", place / "err.0"
        for old in [*place.glob("err.*"), *place.glob("pid.*")]:
            old.unlink()
        self.log.touch()
        self.before = self.number()
        self.watch = Watch() if watch else None
        if watch:
            self.watch.add(place)
            self.watch.add(self.log, Watch.MODIFY)
            for there in [*place.glob(".run.checkpoint"), *place.glob(".run.*.tmp")]:
                self.watch.add(there)
        fit = [DEMARC, "fit", "../in.h5", "--out", "run", *FIT, "--verbose", "--progress", "never", *options, *more]
        script = 'r=${OMPI_COMM_WORLD_RANK:-0}; echo $$ >pid.$r; exec "$@" 2>err.$r'
        launch = [] if self.ranks == 1 else ["mpirun", "-q", "--bind-to", "none", "-n", str(self.ranks)]
        self.start = time.monotonic()
        self.process = subprocess.Popen([*launch, "sh", "-c", script, "rank", *fit], cwd=place, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=open(place / "launcher.err", "w"),
                                        start_new_session=True)

    def lines(self):
        return self.log.read_text(errors="replace").splitlines()

    def pids(self):
        found = []
        for r in range(self.ranks):
            try:
                found.append(int((self.place / f"pid.{r}").read_text()))
            except (OSError, ValueError):
                pass
        return found

    def alive(self, pid):
        try:
            return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] not in "ZX"
        except OSError:
            return False

    def look(self, pattern, seen):
        """Has what is waited for happened? seen = how often so far; how the output got its name is checked."""
        happened = 0
        wake = self.watch.events()
        for folder, name, mask in wake:
            if folder == self.place and (name == ".run.checkpoint" or re.fullmatch(r"\.run\.\w{6}\.tmp", name)):
                if mask & (Watch.CREATE | Watch.TO) and self.watch.add(self.place / name):
                    happened += pattern in (FILES if name.endswith(".tmp") else {"new"}) and (self.place / name / pattern).exists()
            if folder == self.place and name == "run":
                demand(not mask & Watch.CREATE, "the output did not get its name by a rename")
                demand((self.out / "manifest.json").exists() or mask & Watch.FROM, "the output appeared without its manifest")
                happened += pattern == "run" and bool(mask & Watch.TO)
            elif folder != self.place and name == pattern and mask & Watch.CREATE:
                happened += 1
        if pattern is not None and pattern.startswith("^"):
            happened = sum(bool(re.match(pattern, line)) for line in self.lines()) - seen
        return happened

    def kill(self, random_, pattern, turn, delay):
        """SIGKILL to a random rank `delay` seconds after the turn-th thing that matches. @return where it was, None = too late"""
        seen = 0
        while pattern is not None and seen < turn:
            if self.process.poll() is not None:
                return None
            demand(time.monotonic() - self.start < HANG, "hangs")
            seen += self.look(pattern, seen)
            time.sleep(0.0002)
        until = time.monotonic() + delay
        while time.monotonic() < until or len(self.pids()) < self.ranks:
            if self.process.poll() is not None:
                return None
            self.look(None, 0)
            time.sleep(0.0002)
        victim = random_.choice(self.pids())
        if not self.alive(victim):
            return None
        os.kill(victim, signal.SIGKILL)
        return self.phase()

    def phase(self):
        """In which phase a rank was just killed, by what is in the log and on disk. Others may go on for a moment."""
        if self.number() not in (None, self.before):
            return "named"
        if (self.place / ".run.checkpoint/new").exists():
            return "checkpoint"
        for folder in self.place.glob(".run.*.tmp"):
            if (folder / "manifest.json").exists():
                return "results"
        for line in reversed(self.lines()):
            for pattern, name in PHASES:
                if re.match(pattern, line):
                    return name
        return "start"

    def number(self):
        """Inode of the output, None where there is none: it changes when new results get the name."""
        try:
            return self.out.stat().st_ino
        except FileNotFoundError:
            return None

    def end(self, killed):
        """Wait for launcher and ranks; the exit code."""
        limit = AFTER_KILL if killed else HANG
        try:
            code = self.process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            raise Wrong(f"still running after {limit} s\n{self.text()}") from None
        deadline = time.monotonic() + AFTER_KILL
        while any(self.alive(p) for p in self.pids()):
            demand(time.monotonic() < deadline, "a rank is left")
            time.sleep(0.05)
        if self.watch is not None:
            self.look(None, 0)
            self.watch.close()
            self.watch = None
        return code

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for pid in self.pids():
            if self.alive(pid) and os.path.realpath(f"/proc/{pid}/exe") == DEMARC:
                os.kill(pid, signal.SIGKILL)

    def text(self):
        return "\n".join(f"{p.name}: {p.read_text(errors='replace')[-2000:]}" for p in [self.log, self.place / "launcher.err"])


# ---------------------------------------------------------------------------------------------- rounds

class Trial:
    def __init__(self, home):
        self.home = home
        environment = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_WAIT_POLICY": "passive",
                       "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_mpi_yield_when_idle": "1",
                       "OMPI_MCA_btl_vader_single_copy_mechanism": "none"}
        os.environ.update({k: os.environ.get(k, v) for k, v in environment.items()})
        subprocess.run([DEMARC, "generate", home / "in.h5", "--customers", str(ROWS), "--features", str(FEATURES),
                        "--outcomes", "--quiet"], check=True, stdout=subprocess.DEVNULL)
        (home / "old").mkdir()
        subprocess.run([DEMARC, "fit", "../in.h5", "--segments", "2", "--out", "run", "--quiet"], cwd=home / "old",
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.old = contents(home / "old/run")
        (home / "new").mkdir()
        run = Run(home / "new", (2, ["--threads", "1"]), [], watch=False)
        demand(run.end(False) == 0, run.text())
        self.seconds = time.monotonic() - run.start
        self.new = contents(home / "new/run")
        self.count = {aim: sum(bool(re.match(p, line)) for line in run.lines()) if p and p.startswith("^") else 1
                      for aim, (p, _) in AIMS.items()}
        self.count["checkpoint"] = 12

    def layout(self, r):
        options = ["--threads", str(r.choice([1, 1, 2])), "--io", r.choice(["mpio", "funnel"])]
        return r.choice([1, 2, 2, 3, 3]), options + r.choice([[], [], ["--memory-limit", "1M"]])

    def aim(self, r, name):
        """What to wait for, how often, and how long then."""
        pattern, most = AIMS[name]
        if name == "anywhere":
            return None, 0, r.uniform(0, 1.2 * self.seconds)
        return pattern, r.randint(1, self.count[name]), r.uniform(0, most)

    def check_whole(self, place, replaces, run):
        """The output: absent, old or new."""
        if not (place / "run").exists():
            demand(not replaces, f"the old results are gone\n{run.text()}")
            return
        found = contents(place / "run")
        demand(found == self.new or (replaces and found == self.old), 
               f"a strange output: other {[k for k in self.new if found.get(k) != self.new[k]]}\n{run.text()}")

    def round(self, seed):
        r = random.Random(seed)
        name = list(AIMS)[seed % len(AIMS)]
        replaces = r.random() < 0.25
        place = self.home / f"round-{seed}"
        place.mkdir()
        if replaces:
            shutil.copytree(self.home / "old/run", place / "run")
        kills, legs, run = [], [], None
        try:
            while True:
                layout = self.layout(r)
                more = (["--force"] if replaces else []) + (["--resume"] if kills or r.random() < 0.5 else [])
                target = self.aim(r, name) if not kills else self.aim(r, r.choice(list(AIMS)))
                last = kills and (len(kills) == 3 or r.random() < 0.5)
                run = Run(place, layout, more)
                legs.append(f"{layout[0]} ranks {' '.join(layout[1])}")
                where = None if last else run.kill(r, *target)
                code = run.end(where is not None)
                self.check_whole(place, replaces, run)
                if where is None:
                    demand(code == 0, f"exit code {code}\n{run.text()}")
                    break
                demand(code != 0 or (place / "run").exists(), f"exit code 0 of a killed run\n{run.text()}")
                kills.append(where)
            if not kills:
                kills.append(TOO_LATE)
            demand(contents(place / "run") == self.new, "other results than of an undisturbed run")
            left = sorted(p.name for p in place.glob(".*"))
            demand(not left, f"left behind: {left}\n{run.text()}")
        except Wrong as wrong:
            raise Wrong(f"seed {seed}: aim {name}{', replacing' if replaces else ''}: killed in {kills}, layouts {legs}: {wrong}") from None
        finally:
            if run is not None:
                run.close()
        shutil.rmtree(place)
        print(f"seed {seed}: aim {name}{', replacing old results' if replaces else ''}: killed in {', '.join(kills)}; "
              f"{'; '.join(legs)}", flush=True)
        return kills


def main():
    parser = argparse.ArgumentParser(description="kills ranks of a fit anywhere and resumes it")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args()
    home = pathlib.Path(tempfile.mkdtemp(prefix="demarc-kill-"))
    phases, wrong, struck = collections.Counter(), 0, 0
    try:
        trial = Trial(home)
        print(f"{ROWS} customers, undisturbed {trial.seconds:.1f} s; every round can be repeated by --rounds 1 --seed S", flush=True)
        for seed in range(o.seed, o.seed + o.rounds):
            try:
                kills = trial.round(seed)
                phases.update(kills)
                struck += kills != [TOO_LATE]
            except Wrong as error:
                wrong += 1
                print(f"FAILED {error}", flush=True)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(f"{o.rounds} rounds, {sum(phases.values()) - phases[TOO_LATE]} kills, {wrong} rounds failed")
    for name, count in phases.most_common():
        print(f"  {count:4d}  {name}")
    if 2 * struck < o.rounds:
        print(f"FAILED only {struck} of {o.rounds} rounds killed a rank")
    sys.exit(1 if wrong or 2 * struck < o.rounds else 0)


if __name__ == "__main__":
    main()
