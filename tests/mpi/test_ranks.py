"""On 1, 2, 3 and 4 ranks: the same bytes, the same JSON; one rank that fails alone ends all of them.

The corrupt inputs open well on every rank: only the last chunk of one dataset is damaged, so that only the rank that
owns the last rows meets it, in the midst of a pass in which the others do well.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import h5py
import numpy as np

import demarc_testing as t

BLOCK = 4096            # rows of a block, DM_BLOCK_ROWS: ranks own whole blocks
ROWS = 4 * BLOCK + 300  # on four ranks the last one has the rows from 3 * BLOCK
RANKS = (1, 2, 3, 4)
HANG = 90


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


class Ranks(t.Case):
    @classmethod
    def setUpClass(cls):
        cls.inputs = pathlib.Path(tempfile.mkdtemp(prefix="demarc-inputs-"))
        cls.addClassCleanup(shutil.rmtree, cls.inputs, ignore_errors=True)
        rng = np.random.default_rng(5)
        cls.x = rng.normal(size=(ROWS, 4)) + 3.0 * (np.arange(ROWS) % 3)[:, None]
        cls.columns = {"id": np.array([b"c%06d" % i for i in rng.permutation(ROWS)]), "weight": rng.random(ROWS) + 0.5,
                       "outcomes": rng.random((ROWS, 2)), "arm": (np.arange(ROWS) % 3).astype("i4"),
                       "reachable": rng.integers(0, 2, (ROWS, 2)).astype("u1")}
        cls.good = cls.inputs / "good.h5"
        with h5py.File(cls.good, "w") as f:
            f.create_dataset("features", data=cls.x, chunks=(1000, 3), compression="gzip")
            for name, values in cls.columns.items():
                f[name] = values
        cls.run_dir = cls.inputs / "run"
        p = t.run("fit", cls.good, "--segments", 3, "--out", cls.run_dir, "--quiet")
        assert p.returncode == 0, p.stderr

    def launch(self, ranks, *args, prefix=""):
        """(exit codes by rank, stdout, stderr) of all ranks, each started through a shell that records its code."""
        cwd, log = self.folder(), self.folder()
        script = f'rank=$OMPI_COMM_WORLD_RANK; log=$1; shift\n{prefix}\n"$@" >$log/out.$rank 2>$log/err.$rank; echo $? >$log/code.$rank; exit 0'
        command = ["mpirun", "-q", "--bind-to", "none", "-n", str(ranks), "sh", "-c", script, "rank", log, t.DEMARC, *args]
        p = subprocess.Popen([str(c) for c in command], cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, start_new_session=True)
        try:
            noise = "".join(p.communicate(timeout=HANG))
        except subprocess.TimeoutExpired:
            p.send_signal(signal.SIGTERM)
            try:
                p.communicate(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
                p.communicate()
            self.fail(f"a rank hangs: {args}")

        def read(name):
            parts = [log / f"{name}.{r}" for r in range(ranks)]
            return [part.read_text(errors="replace") if part.exists() else "" for part in parts]

        codes = [int(c) if c.strip() else None for c in read("code")]
        return codes, "".join(read("out")), "".join(read("err")) + noise, cwd

    def folder(self):
        return pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=self.tmp))

    def fine(self, ranks, *args, **kw):
        codes, out, err, cwd = self.launch(ranks, *args, **kw)
        self.assertEqual(codes, [0] * ranks, f"{args}\n{err}")
        return out, cwd

    def ends(self, pattern, ranks, *args, code=3, **kw):
        """All ranks end with one code; one line; nothing left."""
        codes, out, err, cwd = self.launch(ranks, *args, **kw)
        self.assertEqual(codes, [code] * ranks, f"{args}\n{err}")
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertRegex(err, r"^demarc: [^:]+: .+: .+")
        self.assertRegex(err, pattern)
        self.assertEqual(out, "")
        self.assertEqual(list(cwd.iterdir()), [], "something was left behind")
        return err


class SameAnswer(Ranks):
    def same(self, make):
        """make(ranks) gives the same on every number of ranks; returns it."""
        with concurrent.futures.ThreadPoolExecutor(2) as pool:  # two at a time: mpirun mostly waits
            answers = dict(zip(RANKS, pool.map(make, RANKS)))
        for ranks in RANKS:
            self.assertEqual(answers[ranks], answers[1], f"{ranks} ranks")
        return answers[1]

    def test_generate(self):
        options = ["--customers", ROWS, "--features", 6, "--segments", 4, "--arms", 3, "--outcomes", "--missing-share", "0.01"]

        def make(ranks, io="mpio"):
            _, cwd = self.fine(ranks, "generate", "g.h5", *options, "--io", io)
            self.assertEqual([p.name for p in cwd.iterdir()], ["g.h5"])
            return digest(cwd / "g.h5")

        self.assertEqual(self.same(make), make(3, "funnel"))

    def test_import(self):
        csv = self.inputs / "in.csv"
        rows = "".join(f"k{i},{i % 13},{'web' if i % 3 else 'shop'},{i * 0.1:.3f},{'A' if i % 2 else 'B'}\n" for i in range(9000))
        csv.write_text("id,visits,channel,spend,arm\n" + rows)

        def make(ranks, io="mpio"):
            args = ["import", csv, "i.h5", "--id", "id", "--categorical", "channel", "--arm", "arm", "--control", "B", "--io", io]
            _, cwd = self.fine(ranks, *args)
            return digest(cwd / "i.h5")

        self.assertEqual(self.same(make), make(4, "funnel"))

    def test_info(self):
        hurt = self.inputs / "hurt.h5"
        shutil.copy(self.good, hurt)
        with h5py.File(hurt, "r+") as f:
            x = f["features"]
            x[3, 1], x[ROWS - 1, 2], x[BLOCK, 0] = np.nan, np.nan, np.inf
        for path in (self.good, hurt, self.run_dir, self.run_dir / "model.h5", self.run_dir / "assignments.h5"):
            with self.subTest(path.name):
                text = self.same(lambda ranks: self.fine(ranks, "info", path, "--json")[0])
                self.assertIsInstance(json.loads(text), dict)
        self.same(lambda ranks: self.fine(ranks, "info", hurt)[0])

    def test_fit(self):
        def make(ranks, io="mpio"):
            out, cwd = self.fine(ranks, "fit", self.good, "--segments", 3, "--out", "run", "--seed", 4, "--io", io)
            r = self.results(cwd / "run")
            self.assertEqual(len(list(cwd.iterdir())), 1)
            diagnostics = json.dumps(r.pop("diagnostics"), sort_keys=True)
            r["attrs"].pop("created_utc")
            return out, diagnostics, {k: (v.dtype.str, v.tolist()) for k, v in r.items() if isinstance(v, np.ndarray)}, str(r["attrs"])

        self.assertEqual(self.same(make), make(4, "funnel"))

    def test_assign(self):
        def make(ranks, io="mpio"):
            out, cwd = self.fine(ranks, "assign", self.good, "--model", self.run_dir / "model.h5", "--out", "a.h5", "--json", "--io", io)
            with h5py.File(cwd / "a.h5", "r") as f:
                content = {name: (f[name].dtype.str, f[name][()].tobytes()) for name in f}
                content["attributes"] = str({k: v for k, v in f.attrs.items() if k != "created_utc"})
            return out, content

        out, content = self.same(make)
        self.assertEqual((out, content), make(4, "funnel"))
        with h5py.File(self.run_dir / "model.h5", "r") as f:
            self.assertEqual(json.loads(out)["digest"], f.attrs["digest"])
        with h5py.File(self.run_dir / "assignments.h5", "r") as f:
            for name in ("id", "segment", "distance", "runner_up", "margin"):
                self.assertEqual(content[name][1], f[name][()].tobytes(), name)

    def test_verify(self):
        out = self.same(lambda ranks: self.fine(ranks, "verify", self.run_dir, "--json")[0])
        self.assertIsInstance(json.loads(out), dict)
        bad = self.inputs / "bad-run"
        shutil.copytree(self.run_dir, bad)
        with h5py.File(bad / "assignments.h5", "r+") as f:
            for row in (ROWS - 1, 3 * BLOCK + 1):
                f["segment"][row] = (f["segment"][row] + 1) % 3
        lines = self.same(lambda ranks: self.ends(rf"row {3 * BLOCK + 1}\b", ranks, "verify", bad, code=6))
        self.assertEqual(len(lines.splitlines()), 1)


class OneFails(Ranks):
    def corrupt(self, dataset, how="gzip"):
        """A copy of the good file whose last chunk of one dataset no longer unpacks or fails its checksum."""
        path = self.inputs / f"corrupt-{dataset}-{how}.h5"
        with h5py.File(path, "w") as f:
            for name, values in {"features": self.x, **self.columns}.items():
                if name != dataset:
                    f[name] = values
                    continue
                options = {"compression": "gzip"} if how == "gzip" else {"fletcher32": True}
                ds = f.create_dataset(name, data=values, chunks=(700,) + values.shape[1:], **options)
                last = max((ds.id.get_chunk_info(i) for i in range(ds.id.get_num_chunks())), key=lambda c: c.chunk_offset)
                self.assertGreater(last.chunk_offset[0], 3 * BLOCK)
        with open(path, "r+b") as f:
            f.seek(last.byte_offset)
            bytes_ = bytearray(f.read(last.size))
            for i in range(len(bytes_) // 3, len(bytes_) * 2 // 3):
                bytes_[i] ^= 0x5A
            f.seek(last.byte_offset)
            f.write(bytes_)
        with h5py.File(path, "r") as f:
            f[dataset][:3 * BLOCK]  # the other ranks' rows are fine
            with self.assertRaises(OSError):
                f[dataset][()]
        return path

    def test_corrupt_features(self):
        for how in ("gzip", "fletcher32"):
            path = self.corrupt("features", how)
            pattern = rf"{path.name}, /features"
            for ranks in (1, 4):
                with self.subTest(how, ranks=ranks):
                    fit = ["fit", path, "--segments", 3, "--out", "run"]
                    self.ends(pattern, ranks, *fit)
                    if how == "gzip":
                        self.ends(pattern, ranks, *fit, "--memory-limit", "1M", "--algorithm", "lloyd")
                        self.ends(pattern, ranks, *fit, "--scale", "robust", "--io", "funnel")
                        self.ends(pattern, ranks, "assign", path, "--model", self.run_dir / "model.h5", "--out", "a.h5")
                        self.ends(pattern, ranks, "info", path)
                        self.ends(pattern, ranks, "verify", self.run_dir, "--data", path)

    def test_corrupt_columns(self):
        """/outcomes and /reachable are met in the last pass, when the output is being written by all ranks."""
        for dataset in ("id", "weight", "outcomes", "reachable"):
            path = self.corrupt(dataset)
            for ranks, io in ((1, "mpio"), (4, "mpio"), (4, "funnel")):
                with self.subTest(dataset, ranks=ranks, io=io):
                    self.ends(rf"{path.name}, /{dataset}", ranks, "fit", path, "--segments", 3, "--out", "run", "--io", io)

    def test_corrupt_assignments(self):
        """verify reads the results in the same pass as the input."""
        bad = self.inputs / "bad-assignments"
        shutil.copytree(self.run_dir, bad)
        with h5py.File(self.run_dir / "assignments.h5", "r") as f, h5py.File(bad / "assignments.h5", "w") as g:
            for name in f:
                g.create_dataset(name, data=f[name][()], chunks=(700,), compression="gzip")
            g.attrs.update(f.attrs)
            chunk = g["margin"].id.get_chunk_info(g["margin"].id.get_num_chunks() - 1)
        with open(bad / "assignments.h5", "r+b") as f:
            f.seek(chunk.byte_offset)
            f.write(b"\xff" * chunk.size)
        for ranks in (1, 4):
            self.ends(r"bad-assignments/assignments\.h5.*/margin", ranks, "verify", bad)

    def permitted(self):
        """Skips where a rank cannot have mounts of its own."""
        try:
            p = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /mnt"], capture_output=True)
        except FileNotFoundError:
            self.skipTest("no unshare here")
        if p.returncode != 0:
            self.skipTest("mounting a tmpfs is not permitted here")

    def hide(self, folder, rank):
        """Shell code after which `rank` sees an empty folder: a host that does not share the file system."""
        return (f'[ "$rank" != {rank} ] || set -- unshare -m sh -c \'mount -t tmpfs -o size=4m tmpfs "{folder}" && exec "$@"\' x "$@"')

    def test_a_host_without_the_input(self):
        self.permitted()
        folder = self.folder()
        shutil.copy(self.good, folder / "in.h5")
        for ranks, rank in ((4, 2), (2, 1)):
            err = self.ends(r"in\.h5", ranks, "fit", folder / "in.h5", "--segments", 3, "--out", "run", prefix=self.hide(folder, rank))
            self.assertRegex(err, rf"rank {rank}\b")

    def test_a_host_without_the_output(self):
        """Parallel output needs a shared file system and says so; with --io funnel only rank 0 needs the folder."""
        self.permitted()
        folder = self.folder()
        for args in (["fit", self.good, "--segments", 3, "--out", folder / "run"],
                     ["assign", self.good, "--model", self.run_dir / "model.h5", "--out", folder / "a.h5"],
                     ["generate", folder / "g.h5", "--customers", ROWS]):
            prefix = self.hide(folder, 3)
            with self.subTest(args[0]):
                self.ends("--io funnel|share", 4, *args, code=5, prefix=prefix)
                self.assertEqual(list(folder.iterdir()), [], "something was left behind")
                self.fine(4, *args, "--io", "funnel", prefix=prefix)
                self.assertEqual(len(list(folder.iterdir())), 1)
                shutil.rmtree(folder)
                folder.mkdir()

    def test_through_mpirun(self):
        """As users run it: mpirun ends with demarc's own exit code, and the one line is there once."""
        path = self.corrupt("weight")
        for ranks in RANKS:
            for code, pattern, args in ((3, "/weight", ["fit", path, "--segments", 3, "--out", self.tmp / "run"]),
                                        (2, "--segments", ["fit", self.good, "--segments", 0, "--out", self.tmp / "run"]),
                                        (4, "fewer", ["fit", self.good, "--segments", ROWS + 1, "--out", self.tmp / "run"])):
                if ranks in (2, 4) or code == 3:
                    before = sorted(self.tmp.iterdir())
                    p = subprocess.run(["mpirun", "-q", "--bind-to", "none", "-n", str(ranks), t.DEMARC, *map(str, args)],
                                       capture_output=True, text=True, timeout=HANG)
                    self.assertEqual(p.returncode, code, p.stderr)
                    self.assertRegex(p.stderr, pattern)
                    self.assertEqual(p.stderr.count("demarc: "), 1, p.stderr)
                    self.assertEqual(sorted(self.tmp.iterdir()), before)


if __name__ == "__main__":
    t.main()
