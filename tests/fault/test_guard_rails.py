"""What is told before a job starts: separate copies, threads without cores, rows that memory cannot hold."""
import os
import subprocess
import unittest

import h5py
import numpy as np

from demarc_testing import DEMARC, Case, main

BATCH = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_TASKS_PER_NODE": "4"}
NO_LAUNCHER = {"SLURM_NTASKS": "4", "SLURM_PROCID": "2"}


class GuardRails(Case):
    def setUp(self):
        super().setUp()
        self.data = self.write("c.h5", np.random.default_rng(1).normal(size=(500, 3)))

    def fit(self, *options, **kw):
        return ["fit", self.data, "--segments", 2, "--out", self.tmp / "run", "--force", *options], kw

    def test_separate_copies_are_refused(self):
        args, kw = self.fit(env=NO_LAUNCHER)
        self.fails(2, "4 separate copies instead of one job: SLURM_NTASKS is 4.*srun --mpi=pmix", *args, **kw)
        self.assertFalse((self.tmp / "run").exists())
        self.assertEqual(os.listdir(self.tmp), ["c.h5"])

    def test_a_step_of_copies_is_refused(self):
        """srun in a job, as Slurm 22.05 tells it."""
        args, kw = self.fit(env=BATCH | {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2"})
        self.fails(2, "2 separate copies instead of one job: SLURM_STEP_NUM_TASKS is 2.*srun --mpi=pmix", *args, **kw)

    def test_one_task_is_no_copy(self):
        for env in ({"SLURM_NTASKS": "1"}, BATCH | {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "1"}, BATCH):
            with self.subTest(env):  # the last: a command in a batch script, without srun
                args, kw = self.fit(env=env)
                self.ok(*args, **kw)

    def test_mpirun_in_an_allocation_is_no_copy(self):
        args, kw = self.fit(env=NO_LAUNCHER, ranks=2)
        self.ok(*args, **kw)

    @unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "one core only")
    def test_threads_without_cores(self):
        one = {min(os.sched_getaffinity(0))}
        before = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, one)
            args, kw = self.fit("--threads", 3)
            p = self.ok(*args, **kw)
        finally:
            os.sched_setaffinity(0, before)
        self.assertRegex(p.stderr, r"warning: 3 threads share 1 core: .*--bind-to none.*--map-by numa:PE=3.*--threads 1")

    def test_oversubscribed_host(self):
        cores = os.sysconf("SC_NPROCESSORS_ONLN")
        if len(os.sched_getaffinity(0)) < cores:
            self.skipTest("some cores of this host are not ours")
        args, kw = self.fit(ranks=2, threads=cores)
        self.assertRegex(self.ok(*args, **kw).stderr, "warning: oversubscribed: 2 ranks x")

    def test_no_warning_where_all_is_well(self):
        args, kw = self.fit("--threads", 1)
        self.assertNotIn("warning", self.ok(*args, **kw).stderr)

    def test_rows_beyond_memory(self):
        """A sparse file of three times this host's memory: refused at once."""
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        path = self.tmp / "large.h5"
        space = h5py.h5s.create_simple((total // 400, 300))
        create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        create.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        create.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        try:
            with h5py.File(path, "w") as f:
                h5py.h5d.create(f.id, b"features", h5py.h5t.IEEE_F32LE, space, create)
        except OSError:
            self.skipTest("this file system has no sparse files of that size")
        command = ["fit", path, "--segments", 2, "--out", self.tmp / "run"]
        for ranks in 1, 2:
            self.fails(5, rf"not enough memory: .* a rank x {ranks} ranks? of this host, .*--memory-limit", *command,
                       ranks=ranks, timeout=60)
        self.assertFalse((self.tmp / "run").exists())

    def test_pages_of_files_are_no_memory_in_use(self):
        """In a container whose limit is near only because files were read: their pages go when memory is wanted."""
        path = self.tmp / "large.h5"
        with h5py.File(path, "w") as f:  # 240 MB, sparse
            create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            create.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            create.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            h5py.h5d.create(f.id, b"features", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((20_000_000, 3)), create)
        unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-r", "-m"]
        script = """mount -t tmpfs tmpfs /sys/fs/cgroup && cd /sys/fs/cgroup && echo 500000000 >memory.max && echo 450000000 >memory.current &&
                    printf 'anon 1\ninactive_file %s\nactive_file 1000000\n' "$1" >memory.stat || exit 77; cd "$2"; shift 2; exec "$@" """
        for cached, code in ((400_000_000, 3), (100_000_000, 5)):  # 3: these rows are all alike
            command = [DEMARC, "fit", str(path), "--segments", "2", "--out", str(self.tmp / "run"), "--dry-run"]
            try:
                p = subprocess.run([*unshare, "sh", "-c", script, "x", str(cached), str(self.tmp), *command], capture_output=True, text=True)
            except FileNotFoundError:
                self.skipTest("no unshare")
            if p.returncode == 77 or (p.returncode == 1 and "unshare" in p.stderr):
                self.skipTest("no mounts for us: " + p.stderr.strip())
            self.assertEqual(p.returncode, code, p.stderr)
            if code == 5:
                self.assertRegex(p.stderr, "not enough memory: .* 151 MB available")


if __name__ == "__main__":
    main()
