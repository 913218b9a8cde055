"""The command line itself: help, options, config files, exit codes, errors, stdout."""
import json
import os
import re
import subprocess

from demarc_testing import DEMARC, Case, main, run

COMMANDS = ["generate", "import", "info", "fit", "assign", "export", "verify", "report"]
MORE_COMMANDS = ["select", "stability", "compare", "boundary sweep", "boundary replay", "boundary plan",
                 "boundary analyze"]  # those that BASE has no options for
# Options and arguments with which a command gets as far as checking one more option.
BASE = {
    "generate": ["generate", "out.h5"],
    "import": ["import", "in.csv", "out.h5"],
    "info": ["info", "in.h5"],
    "fit": ["fit", "in.h5", "--segments", "3", "--out", "run"],
    "assign": ["assign", "in.h5", "--model", "m.h5", "--out", "out.h5"],
    "export": ["export", "run", "--format", "csv", "--out", "out.csv"],
    "verify": ["verify", "run"],
    "report": ["report", "run", "--out", "page.html"],
}


def example_of(help_text):
    """The lines under 'Example:' of a help text, as a shell script."""
    lines = help_text.split("\nExample:\n", 1)[1].splitlines()
    return [line[2:] for line in lines if line.startswith("  ")]


class Help(Case):
    def check(self, text):
        lines = text.splitlines()
        self.assertLessEqual(len(lines), 100)
        self.assertLessEqual(max(map(len, lines)), 100)
        self.assertIn("Usage: demarc", text)
        self.assertTrue(example_of(text))

    def test_program(self):
        p = self.ok("--help")
        self.assertEqual(p.stderr, "")
        self.check(p.stdout)
        for command in COMMANDS:
            self.assertRegex(p.stdout, rf"(?m)^  {command} ")
        self.assertEqual(self.ok("help").stdout, p.stdout)

    def test_commands(self):
        for command in COMMANDS + MORE_COMMANDS:
            with self.subTest(command):
                p = self.ok(*command.split(), "--help")
                self.assertEqual(p.stderr, "")
                self.check(p.stdout)
                for option in ("--config", "--threads", "--memory-limit", "--json", "--quiet", "--progress"):
                    self.assertIn(option, p.stdout)
                self.assertEqual(self.ok("help", *command.split()).stdout, p.stdout)

    def test_help_needs_nothing_else(self):
        self.ok("fit", "no-such-file.h5", "--segments", "3", "--help")

    def test_rule_of_a_range_is_stated(self):
        self.assertRegex(self.ok("fit", "--help").stdout, r"(?s)LO:HI.*recommended")

    def test_version(self):
        text = self.ok("--version").stdout
        self.assertRegex(text, r"^demarc \d+\.\d+")
        for word in ("MPI", "HDF5", "BLAS"):
            self.assertIn(word, text)

    def test_one_copy_on_many_ranks(self):
        p = self.ok("--help", ranks=3)
        self.assertEqual(p.stdout.count("Usage:"), 1)
        self.assertEqual(self.ok("fit", "--help", ranks=2).stdout.count("Usage:"), 1)


class Examples(Case):
    """The examples in the help texts, as printed, each in an empty folder."""

    def run_example(self, *help_arguments):
        lines = example_of(self.ok(*help_arguments).stdout)
        path = self.tmp / "bin"
        path.mkdir()
        (path / "demarc").symlink_to(DEMARC)
        scratch = self.tmp / "scratch"
        scratch.mkdir()
        env = dict(os.environ, PATH=f"{path}:{os.environ['PATH']}")
        script = "set -e\n" + "\n".join(lines) + "\n"
        p = subprocess.run(["sh", "-c", script], cwd=scratch, env=env, capture_output=True, text=True, timeout=300)
        self.assertEqual(p.returncode, 0, script + p.stdout + p.stderr)

    def test_program(self):
        self.run_example("--help")

    def test_generate(self):
        self.run_example("generate", "--help")

    def test_import(self):
        self.run_example("import", "--help")

    def test_info(self):
        self.run_example("info", "--help")

    def test_fit(self):
        self.run_example("fit", "--help")

    def test_assign(self):
        self.run_example("assign", "--help")

    def test_export(self):
        self.run_example("export", "--help")

    def test_verify(self):
        self.run_example("verify", "--help")

    def test_report(self):
        self.run_example("report", "--help")

    def test_boundary_sweep(self):
        self.run_example("boundary", "sweep", "--help")

    def test_boundary_replay(self):
        self.run_example("boundary", "replay", "--help")

    def test_boundary_plan(self):
        self.run_example("boundary", "plan", "--help")

    def test_boundary_analyze(self):
        self.run_example("boundary", "analyze", "--help")


class Errors(Case):
    def usage(self, pattern, *args, **kw):
        p = self.fails(2, pattern, *args, **kw)
        self.assertEqual(p.stdout, "")
        self.assertNotRegex(p.stderr, r"[\x00-\x09\x0b-\x1f]")

    def test_commands(self):
        self.usage("missing command")
        self.usage("unknown command: 'fti': did you mean demarc fit", "fti")
        self.usage("unknown command: 'help-me'", "help-me")
        self.usage("unknown command: ''", "")
        self.usage("unknown command: 'asign': did you mean demarc assign", "help", "asign")
        self.usage("'--threads' before a command", "--threads", "2", "fit")

    def test_missing_and_unexpected_arguments(self):
        for command in COMMANDS:
            with self.subTest(command):
                self.usage(f"missing argument: demarc {command}: give ", command)
                self.usage("unexpected argument: .*'surplus'", *BASE[command], "surplus")
        self.usage("missing argument: demarc import: give OUT.h5", "import", "in.csv")
        self.usage("empty argument: demarc info", "info", "")
        self.usage("missing option: demarc fit: give --segments", "fit", "in.h5", "--out", "run")
        self.usage("missing option: demarc fit: give --out", "fit", "in.h5", "--segments", "3")
        self.usage("missing option: demarc assign: give --model", "assign", "in.h5", "--out", "x")
        self.usage("missing value: --segments", "fit", "in.h5", "--out", "run", "--segments")
        self.usage("missing value: --out", "fit", "in.h5", "--segments", "3", "--out", "--force")
        self.usage("bad value: --out ''", "fit", "in.h5", "--segments", "3", "--out", "")
        self.usage("unwanted value: --force", *BASE["fit"], "--force=1")

    def test_unknown_options(self):
        for command in COMMANDS:
            with self.subTest(command):
                self.usage("unknown option: .*'--thread': did you mean --threads", *BASE[command], "--thread", "2")
                self.usage("unknown option: .*'--qwertyuiop': see demarc", *BASE[command], "--qwertyuiop=1")
        self.usage("did you mean --segments", *BASE["fit"], "-segments", "3")
        self.usage("unknown option: .*'-x'", *BASE["fit"], "-x")
        self.usage("unknown option", "verify", "run", "--force")

    def test_numbers(self):
        for name, values in {
            "segments": ["0", "-1", "3:2", ":", "3:", ":3", "1:2:3", "x", "nan", "9" * 20, "", "3 ", " 3"],
            "threads": ["0", "-1", "4097", "1.5", "two", "0x2", "1e99"],
            "restarts": ["0", "1e10", "2147483648", "4294967297"],
            "checkpoint-every": ["-1", "soon", "nan"],
            "batch-size": ["-1", "1e19", "9223372036854775808", "5x"],
            "tolerance": ["nan", "inf", "-1", "1e999", "0x1p3", "1,5", "--"],
            "min-segment-share": ["1", "-0.1", "1.5", "NaN"],
            "seed": ["-1", "18446744073709551616", "1.5", "", "+1"],
            "polish": ["-2", "1e7"],
            "memory-limit": ["512", "-1G", "1.5X", "9e99T", "1e30", "G", "1GBB", "nan"],
        }.items():
            for value in values:
                with self.subTest(f"{name} {value}"):
                    self.usage(f"bad value: --{name} '", *BASE["fit"], f"--{name}={value}")
        for value in ["0", "-5", "1.5", "1e20", "10X", "1e-3"]:
            self.usage("bad value: --customers", *BASE["generate"], "--customers", value)
        for value in ["1", "-0.5", "nan"]:
            self.usage("bad value: --missing-share", *BASE["generate"], "--missing-share", value)

    def test_words(self):
        self.usage("--scale 'zscor'.*zscore, robust, minmax, none.*did you mean zscore", *BASE["fit"],
                   "--scale", "zscor")
        for name in ("scale", "missing", "algorithm", "io", "kernel", "progress"):
            self.usage(f"bad value: --{name} 'nonsense': give one of", *BASE["fit"], f"--{name}", "nonsense")
        for value in [";;", '"', "", "\n", "é"]:
            self.usage("bad value: --delimiter", *BASE["import"], f"--delimiter={value}")
        self.usage("--quiet and --verbose", *BASE["fit"], "--quiet", "--verbose")

    def test_hostile_text(self):
        self.usage(r"'--a\\x01\\x1b\[31m'", *BASE["fit"], "--a\x01\x1b[31m")
        self.usage("unknown option", *BASE["fit"], "--" + "x" * 100000)
        self.usage("unknown command", "x" * 100000)
        self.usage("bad value: --segments", *BASE["fit"], "--segments", "9" * 100000)
        self.usage("unexpected argument", *BASE["fit"], "%s%n%s%n")
        # popt would replace this by the next argument, for ever.
        self.usage("unusable argument", *BASE["fit"], "--weight", "!#:+", "--id", "!#:+", timeout=20)

    def test_one_line_on_many_ranks(self):
        self.usage("unknown option", *BASE["fit"], "--nonsense", ranks=3, timeout=60)
        self.usage("bad value", *BASE["fit"], "--segments", "0", ranks=3, timeout=60)
        self.usage("missing command", ranks=2, timeout=60)

    def test_posix_order_does_not_matter(self):
        self.usage("bad value: --segments", "fit", "in.h5", "--segments", "0", env={"POSIXLY_CORRECT": "1"})


class Config(Case):
    def setUp(self):
        super().setUp()
        self.ok("generate", self.tmp / "in.h5", "--customers", 3000, "--features", 4, "--segments", 3)

    def config(self, text, name="my.conf"):
        path = self.tmp / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def fit(self, config, *more):
        """Segments of a fit with this config file."""
        p = self.ok("fit", self.tmp / "in.h5", "--config", config, "--json", *more)
        return json.loads(p.stdout)["k"]

    def test_values_and_precedence(self):
        out = self.tmp / "run # 1"
        c = self.config(f'\ufeff# a comment\r\n\r\n  segments = 4   # trailing\r\nout="{out}" # x\nthreads=1\nseed = 7')
        self.assertEqual(self.fit(c), 4)
        self.assertTrue(out.is_dir())
        self.assertEqual(self.fit(c, "--out", self.tmp / "b", "--segments=2"), 2)

    def test_flags(self):
        c = self.config(f"segments = 2\nout = {self.tmp / 'run'}\nforce = true\n")
        self.fit(c)
        self.fit(c)
        self.fails(2, "exist", "fit", self.tmp / "in.h5", "--config", c, "--no-force")
        c = self.config(f"segments = 2\nout = {self.tmp / 'run'}\nforce = false\n")
        self.fails(2, "exist", "fit", self.tmp / "in.h5", "--config", c)
        self.fit(c, "--force")

    def bad(self, code, pattern, text, *more):
        c = self.config(text)
        p = self.fails(code, pattern, "fit", self.tmp / "in.h5", "--out", self.tmp / "x", "--config", c, *more)
        self.assertEqual(p.stdout, "")
        self.assertFalse((self.tmp / "x").exists())

    def test_errors_name_file_and_line(self):
        self.bad(2, r"unknown option: .*my\.conf line 3: 'segmens': did you mean segments", "\n\nsegmens = 3\n")
        self.bad(2, r"unknown option: .*my\.conf line 1: 'lookahead'", "lookahead = true\nsegments = 3\n")
        self.bad(2, r"bad line: .*my\.conf line 2", "threads = 1\nsegments 3\n")
        self.bad(2, r"bad line: .*my\.conf line 1", "= 3\n")
        self.bad(2, r'bad line: .*my\.conf line 1', 'id = "/id\nsegments = 3\n')
        self.bad(2, r"bad value: .*my\.conf line 2: threads '0'", "segments = 3\nthreads = 0\n")
        self.bad(2, r"bad value: .*my\.conf line 1: force 'yes': give true or false", "force = yes\nsegments = 3\n")
        self.bad(2, r"bad value: .*my\.conf line 1: id ''", "id =\nsegments = 3\n")
        self.bad(2, r"given twice: .*my\.conf lines 1 and 3: 'seed'", "seed = 1\nsegments = 3\nseed = 1\n")
        self.bad(2, r"command line only: .*my\.conf line 1: 'config'", "config = other.conf\n")
        self.bad(2, r"my\.conf line 1 holds a zero byte", b"segments\0 = 3\n")
        self.bad(2, r"my\.conf line 1 is longer", "x" * 100000)
        self.bad(2, r"line 1: 'a\\x01b'", "a\x01b = 3\n")
        self.bad(2, "given twice: --config", "segments = 3\n", "--config", self.tmp / "my.conf")

    def test_unreadable(self):
        self.fails(3, "no such file: --config", *BASE["fit"], "--config", self.tmp / "absent.conf")
        self.fails(3, "is a directory", *BASE["fit"], "--config", self.tmp)
        self.fails(2, "missing value: --config", *BASE["fit"], "--config")
        self.fails(3, "no such file: --config", *BASE["fit"], "--config", self.tmp / "absent.conf", ranks=3, timeout=60)

    def test_pipe(self):
        """--config <(...) works; a pipe that nobody writes to does not make the run wait for ever."""
        out = self.tmp / "run"
        read, write = os.pipe()
        os.write(write, f"segments = 3\nout = {out}\n".encode())
        os.close(write)
        self.addCleanup(os.close, read)
        p = subprocess.run([DEMARC, "fit", str(self.tmp / "in.h5"), "--config", f"/dev/fd/{read}"], pass_fds=[read],
                           capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertTrue(out.is_dir())
        os.mkfifo(self.tmp / "pipe")
        for ranks in (1, 2):
            self.fails(3, "nobody writes to the pipe: --config", *BASE["fit"], "--config", self.tmp / "pipe", ranks=ranks,
                       timeout=60)

    def test_unreadable_on_one_rank_only(self):
        """All ranks leave with the one rank's error; none waits for it."""
        good = self.config("segments = 2\n")
        part = [DEMARC, "fit", str(self.tmp / "in.h5"), "--out", str(self.tmp / "x"), "--config"]
        command = ["mpirun", "-q", "-n", "1", *part, str(good), ":", "-n", "2", *part, str(self.tmp / "absent.conf")]
        p = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.assertEqual(p.returncode, 3, p.stderr)
        self.assertEqual(len(re.findall("(?m)^demarc: no such file: --config", p.stderr)), 1, p.stderr)
        self.assertFalse((self.tmp / "x").exists())


class Output(Case):
    def test_json_of_every_command(self):
        csv = self.tmp / "in.csv"
        csv.write_text("who,a,b\n1,1,2\n2,3,\n3,5,6\n")
        imported = json.loads(self.ok("import", csv, self.tmp / "i.h5", "--id", "who", "--json").stdout)
        self.assertEqual((imported["customers"], imported["features"], imported["missing"]), (3, 2, 1))
        data, out = self.tmp / "in.h5", self.tmp / "run"
        seed = 2**64 - 1
        made = json.loads(self.ok("generate", data, "--customers", "3e3", "--features", 4, "--segments", 3,
                                  "--seed", seed, "--json").stdout)
        self.assertEqual((made["customers"], int(made["seed"])), (3000, seed))
        fit = json.loads(self.ok("fit", data, "--segments", 3, "--out", out, "--json").stdout)
        self.assertEqual((fit["n"], fit["d"], fit["k"]), (3000, 4, 3))
        self.assertEqual(fit, json.loads((out / "diagnostics.json").read_text()))
        verified = json.loads(self.ok("verify", out, "--json", ranks=2).stdout)
        self.assertEqual(verified["objective"], fit["objective"])
        assigned = json.loads(self.ok("assign", data, "--model", out / "model.h5", "--out", self.tmp / "a.h5",
                                      "--json").stdout)
        self.assertEqual(sum(assigned["size"]), 3000)
        self.assertEqual(assigned["digest"], fit["digest"])
        for path, kind in ((data, "customers"), (out, "results"), (out / "model.h5", "model")):
            self.assertEqual(json.loads(self.ok("info", path, "--json").stdout)["kind"], kind)

    def test_tables(self):
        data, out = self.tmp / "in.h5", self.tmp / "run"
        self.assertIn("3,000 customers", self.ok("generate", data, "--customers", "3K", "--segments", 3).stdout)
        text = self.ok("fit", data, "--segments", 3, "--out", out, ranks=2).stdout
        self.assertRegex(text, r"(?m)^segment +name +customers +share +objective +mean margin +near boundary +nearest")
        self.assertEqual(len(re.findall(r"(?m)^ +[0-2]  \w.* +[\d,]+ +[\d.]+%", text)), 3)
        for name in ("model.h5", "assignments.h5", "diagnostics.json", "manifest.json"):
            self.assertIn(str(out / name), text)
        self.assertNotIn("\x1b", text)
        digest = re.search(r"(?m)^digest +(\w+)$", text)[1]
        self.assertIn(digest, self.ok("verify", out).stdout)
        self.assertRegex(self.ok("info", data).stdout, r"(?m)^customers +3,000$")
        self.assertIn(digest, self.ok("info", out).stdout)

    def test_dry_run_writes_nothing(self):
        data = self.tmp / "in.h5"
        self.ok("generate", data, "--customers", 1000, "--dry-run")
        self.assertFalse(data.exists())
        self.ok("generate", data, "--customers", 1000)
        p = self.ok("fit", data, "--segments", 2, "--out", self.tmp / "run", "--dry-run")
        self.assertIn("nothing written", p.stdout)
        self.assertFalse((self.tmp / "run").exists())

    def test_quiet(self):
        data = self.tmp / "in.h5"
        p = self.ok("generate", data, "--customers", 1000, "--quiet")
        self.assertEqual(p.stderr, "")

    def stdout_to(self, redirect, *args):
        return subprocess.run(["sh", "-c", f'"$0" "$@" {redirect}', DEMARC, *map(str, args)], capture_output=True,
                              text=True, timeout=60)

    def test_stdout_that_cannot_be_written(self):
        data = self.tmp / "in.h5"
        for redirect in (">/dev/full", ">&-"):
            for args in (["--help"], ["--version"], ["fit", "--help"],
                         ["generate", data, "--customers", 1000, "--force"]):
                with self.subTest(f"{args} {redirect}"):
                    p = self.stdout_to(redirect, *args)
                    self.assertEqual(p.returncode, 5, p.stderr)
                    self.assertRegex(p.stderr, r"(?m)^demarc: cannot write: standard output")
        # The data file did not get the closed descriptor's number: it is whole.
        self.ok("info", data)

    def test_closed_pipe(self):
        reader, writer = os.pipe()
        os.close(reader)
        p = subprocess.run([DEMARC, "--help"], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
        os.close(writer)
        self.assertEqual(p.returncode, 5, p.stderr)
        self.assertRegex(p.stderr, r"^demarc: cannot write: standard output.*\n$")

    def test_terminal_colour(self):
        """Bold headings on a terminal only, and not with NO_COLOR."""
        import pty
        data = self.tmp / "in.h5"
        self.ok("generate", data, "--customers", 1000)

        def on_terminal(**env):
            pid, fd = pty.fork()
            if pid == 0:
                os.execve(DEMARC, [DEMARC, "info", str(data), "--quiet"], {**os.environ, "TERM": "xterm", **env})
            text = b""
            while True:
                try:
                    part = os.read(fd, 65536)
                except OSError:
                    break
                if not part:
                    break
                text += part
            os.close(fd)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0, text)
            return text

        self.assertIn(b"\x1b[1m", on_terminal(NO_COLOR=""))
        self.assertNotIn(b"\x1b", on_terminal(NO_COLOR="1"))
        self.assertNotIn(b"\x1b", on_terminal(NO_COLOR="", TERM="dumb"))


if __name__ == "__main__":
    main()
