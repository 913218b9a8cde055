"""A rank that stops, is killed or dies of a fault: the others end in bounded time, with a line that names rank and host.
A killed rank can say nothing itself: there the line is mpirun's.

The fit of these tests would take minutes; it is hit as soon as its log shows that it is at work.
"""
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import numpy as np

import demarc_testing as t

RANKS = 3
STALL = 3         # seconds, --stall-timeout
GRACE = 15        # seconds that mpirun and a busy machine may take on top
HOST = re.escape(socket.gethostname())
STALLED = rf"^demarc: stalled: rank (\d) on {HOST} has waited (\d+) s in [a-zA-Z_/ -]+: .+--stall-timeout$"


class LostRank(t.Case):
    @classmethod
    def setUpClass(cls):
        cls.inputs = tempfile.TemporaryDirectory(prefix="demarc-inputs-")
        cls.addClassCleanup(cls.inputs.cleanup)
        cls.data = pathlib.Path(cls.inputs.name) / "in.h5"
        p = t.run("generate", cls.data, "--customers", 100000, "--features", 12, "--quiet")
        assert p.returncode == 0, p.stderr

    def start(self, *options, quiet=("-q",)):
        """A long fit on all ranks; returns mpirun and the ranks' process ids once all are computing. -q: mpirun says nothing"""
        script = f'echo $$ >"{self.tmp}/pid.$OMPI_COMM_WORLD_RANK"; exec "$@"'
        fit = ["fit", self.data, "--segments", 30, "--algorithm", "lloyd", "--tolerance", 0, "--restarts", 2000, "--out",
               self.tmp / "run", "--threads", 1, "--verbose", *options]
        self.log = open(self.tmp / "err", "w+")
        self.addCleanup(self.log.close)
        p = subprocess.Popen(["mpirun", *quiet, "--bind-to", "none", "-n", str(RANKS), "sh", "-c", script, "rank", t.DEMARC,
                              *map(str, fit)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log,
                             start_new_session=True)
        self.addCleanup(self.end, p)
        deadline = time.monotonic() + 60
        while "pass 2" not in self.text() and "restart" not in self.text():
            self.assertIsNone(p.poll(), self.text())
            self.assertLess(time.monotonic(), deadline, self.text())
            time.sleep(0.1)
        return p, [int((self.tmp / f"pid.{r}").read_text()) for r in range(RANKS)]

    def text(self):
        return (self.tmp / "err").read_text(errors="replace")

    def end(self, p):
        if p.poll() is None:
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()
        for file in self.tmp.glob("pid.*"):
            try:
                os.kill(int(file.read_text()), signal.SIGKILL)
            except (ProcessLookupError, ValueError):
                pass

    def ends(self, p, pids, seconds):
        """mpirun and every rank end within that time, not well; nothing that looks like a result is there."""
        begin = time.monotonic()
        try:
            code = p.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.fail(f"still running after {seconds} s:\n{self.text()}")
        self.assertNotEqual(code, 0, self.text())
        for pid in pids:
            while os.path.exists(f"/proc/{pid}"):
                self.assertLess(time.monotonic() - begin, seconds, f"process {pid} is left")
                time.sleep(0.1)
        self.assertFalse((self.tmp / "run").exists())
        return code

    def said(self, pattern):
        """The only error line of ours."""
        # A rank may have been stopped within a line of its log, which the line then follows.
        lines = re.findall("demarc: (?!warning).*", self.text())
        self.assertEqual(len(lines), 1, self.text())
        self.assertRegex(lines[0], pattern)
        return re.match(pattern, lines[0])

    def test_stopped(self):
        """A rank that hangs: its peers wait in a collective, say so and end with the code of a system error."""
        for rank in (0, 2):
            with self.subTest(rank=rank):
                p, pids = self.start("--stall-timeout", STALL)
                os.kill(pids[rank], signal.SIGSTOP)
                self.assertEqual(self.ends(p, pids, STALL + GRACE), 5, self.text())
                found = self.said(STALLED)
                self.assertNotEqual(int(found[1]), rank)
                self.assertGreaterEqual(int(found[2]), STALL)

    def test_stop_without_timeout(self):
        """Without the option a rank may be stopped for a while (a debugger, a suspended job) and the rest waits."""
        p, pids = self.start()
        os.kill(pids[1], signal.SIGSTOP)
        with self.assertRaises(subprocess.TimeoutExpired):
            p.wait(timeout=STALL + 3)
        os.kill(pids[1], signal.SIGCONT)

    def test_all_stopped(self):
        """A whole job that is suspended and goes on has not stalled."""
        p, pids = self.start("--stall-timeout", STALL)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(STALL + 4)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        with self.assertRaises(subprocess.TimeoutExpired):
            p.wait(timeout=2)
        self.assertNotIn("stalled", self.text())

    def test_killed(self):
        p, pids = self.start("--stall-timeout", 60, quiet=())
        os.kill(pids[1], signal.SIGKILL)
        self.ends(p, pids, GRACE)
        self.assertRegex(" ".join(self.text().split()), rf"process rank 1 with PID \d+ on node {HOST} exited on signal 9 \(Killed\)")
        self.assertNotRegex(self.text(), "demarc: (?!warning)")

    @unittest.skipIf(os.environ.get("DEMARC_SANITIZE"), "the sanitizer reports faults itself")
    def test_fault(self):
        for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGABRT):
            with self.subTest(number.name):
                p, pids = self.start()
                os.kill(pids[1], number)
                self.ends(p, pids, GRACE)
                self.said(rf"^demarc: ended by a signal: rank 1 on {HOST}: {number.name} ")

    @unittest.skipIf(os.environ.get("DEMARC_SANITIZE"), "the sanitizer reports faults itself")
    def test_fault_alone(self):
        """One process: the line, then the signal as ever."""
        p = subprocess.Popen([t.DEMARC, "import", "-", self.tmp / "out.h5"], stdin=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        time.sleep(1)
        p.send_signal(signal.SIGSEGV)
        _, err = p.communicate(timeout=GRACE)
        self.assertEqual(p.returncode, -signal.SIGSEGV)
        self.assertRegex(err, rf"^demarc: ended by a signal: rank 0 on {HOST}: SIGSEGV ")


class Option(t.Case):
    def test_values(self):
        data = self.write("in.h5", np.random.default_rng(1).normal(size=(500, 3)))
        for value in (0, 0.5, 600):
            self.ok("info", data, "--stall-timeout", value, ranks=2)
        for value in (-1, "soon", "nan"):
            self.fails(2, "--stall-timeout", "info", data, "--stall-timeout", value)


class Import(t.Case):
    def test_slow_input(self):
        """While rank 0 reads a slow pipe its peers wait longer than the timeout: that is no stall."""
        command = ["mpirun", "-q", "--bind-to", "none", "-n", "2", t.DEMARC, "import", "-", str(self.tmp / "out.h5"), "--stall-timeout", "1"]
        p = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        p.stdin.write("a,b\n1,2\n")
        p.stdin.flush()
        time.sleep(4)
        p.stdin.write("3,4\n")
        _, err = p.communicate(timeout=60)
        self.assertEqual(p.returncode, 0, err)


class SlowDisk(t.Case):
    def test_slow_sync(self):
        """While one rank waits for its disk at the end, its peers wait longer than the timeout: that is no stall either."""
        data = self.write("in.h5", np.random.default_rng(1).normal(size=(20000, 3)))
        library = pathlib.Path(os.environ["DEMARC_BUILD"]) / "tests" / "libfailing.so"
        self.ok("fit", data, "--segments", 2, "--out", self.tmp / "run")
        for rank, command in ((0, ["assign", data, "--model", self.tmp / "run" / "model.h5", "--out", self.tmp / "f.h5", "--io", "funnel"]),
                              (1, ["assign", data, "--model", self.tmp / "run" / "model.h5", "--out", self.tmp / "m.h5"])):
            with self.subTest(command[0], rank=rank):
                preload = f'if [ "$OMPI_COMM_WORLD_RANK" = {rank} ]; then export LD_PRELOAD={library} FAILING=slow FAILING_AT=3 FAILING_RANK={rank}; fi; exec "$@"'
                began = time.monotonic()
                p = subprocess.run(["mpirun", "-q", "--bind-to", "none", "-n", "2", "sh", "-c", preload, "x", t.DEMARC, *map(str, command),
                                    "--stall-timeout", "2", "--quiet"], capture_output=True, text=True, timeout=120,
                                   env=dict(os.environ, DEMARC_REEXEC="1"))
                self.assertEqual((p.returncode, p.stderr), (0, ""))
                self.assertGreater(time.monotonic() - began, 3, "nothing was slow")


if __name__ == "__main__":
    t.main()
