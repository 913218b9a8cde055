"""`demarc import` against Python's own csv module on real files, and against a set of hostile ones."""
import csv
import io
import lzma
import math
import os
import subprocess

import h5py
import numpy as np

import demarc_testing as t

MISSING = {"", "NA", "N/A", "NaN", "nan", "NULL", "null"}
WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}


def number(text):
    text = text.strip(" \t")
    if text in MISSING:
        return math.nan
    return WORDS[text.lower()] if text.lower() in WORDS else float(text)


def table(path, delimiter=","):
    """Header and columns of a CSV by Python's csv module."""
    with open(path, encoding="utf-8-sig", newline="") as f:
        rows = list(csv.reader(f, delimiter=delimiter))
    return rows[0], {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])}


def features(header, column, categorical=(), leave_out=()):
    """The expected /features and their names."""
    names, blocks = [], []
    for name in header:
        if name in leave_out:
            continue
        if name not in categorical:
            names.append(name)
            blocks.append([number(v) for v in column[name]])
            continue
        for level in sorted(set(column[name]) - MISSING, key=lambda s: s.encode()):
            names.append(f"{name}={level}")
            blocks.append([math.nan if v in MISSING else float(v == level) for v in column[name]])
    return names, np.array(blocks, dtype=np.float64).T


class Import(t.Case):
    def convert(self, source, *options, stdin=None, name="out.h5", **kw):
        """Import and return the file's datasets and attributes as {path: array, path@attribute: value}."""
        out = self.tmp / name
        self.ok("import", source, out, *options, stdin=stdin, **kw)
        self.assertEqual([p.name for p in self.tmp.glob(".*")], [], "a temporary file was left behind")
        found = {}
        with h5py.File(out, "r") as f:
            found.update({"@" + k: v for k, v in f.attrs.items()})
            for path in f:
                found[path] = f[path][()]
                found.update({f"{path}@{k}": v for k, v in f[path].attrs.items()})
        return found

    def text(self, content, name="in.csv"):
        path = self.tmp / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def check_features(self, found, names, values, dtype=np.float64):
        self.assertEqual(list(found["features@feature_names"]), names)
        self.assertEqual(found["features"].dtype, dtype)
        np.testing.assert_array_equal(found["features"], values.astype(dtype))


class RealFiles(Import):
    def test_hillstrom(self):
        source = t.data("hillstrom.csv")
        header, column = table(source)
        categorical, outcomes = ["zip_code", "channel", "history_segment"], ["visit", "conversion", "spend"]
        found = self.convert(source, "--categorical", ",".join(categorical), "--arm", "segment", "--control", "No E-Mail",
                             "--outcomes", ",".join(outcomes))
        self.check_features(found, *features(header, column, categorical, outcomes + ["segment"]))
        self.assertIn("history_segment=6) $750 - $1,000", list(found["features@feature_names"]))
        arms = ["No E-Mail", "Mens E-Mail", "Womens E-Mail"]
        self.assertEqual(list(found["arm@arm_names"]), arms)
        self.assertEqual(found["arm@control"], "No E-Mail")
        np.testing.assert_array_equal(found["arm"], [arms.index(v) for v in column["segment"]])
        np.testing.assert_array_equal(found["outcomes"], np.array([[number(v) for v in column[o]] for o in outcomes]).T)
        self.assertEqual(list(found["outcomes@outcome_names"]), outcomes)
        self.assertEqual((found["@source"], found["@created_by"]), ("hillstrom.csv", "demarc import"))
        self.assertNotIn("id", found)
        self.assertAlmostEqual(found["outcomes"][found["arm"] == 0, 2].mean(), 0.652789, places=6)  # published figure

    def test_customer_personality(self):
        source = t.data("customer_personality.csv")
        header, column = table(source, ";")
        categorical = ["Education", "Marital_Status"]
        found = self.convert(source, "--delimiter", ";", "--id", "ID", "--categorical", ",".join(categorical), "--exclude",
                             "Dt_Customer")
        self.check_features(found, *features(header, column, categorical, ["ID", "Dt_Customer"]))
        income = found["features"][:, list(found["features@feature_names"]).index("Income")]
        self.assertEqual(int(np.isnan(income).sum()), 24)
        self.assertEqual(int(np.isnan(found["features"]).sum()), 24)
        self.assertEqual(np.nanmax(income), 666666)
        self.assertEqual(found["id"].dtype, np.int64)
        np.testing.assert_array_equal(found["id"], [int(v) for v in column["ID"]])

    def test_mcdonalds(self):
        source = t.data("mcdonalds.csv")
        header, column = table(source)
        categorical = ["Like", "VisitFrequency", "Gender"]
        found = self.convert(source, "--categorical", ",".join(categorical), "--float32")
        self.check_features(found, *features(header, column, categorical), dtype=np.float32)
        self.assertEqual(set(np.unique(found["features"][:, :11])), {0.0, 1.0})
        self.fails(3, r"not a number: 'Every three months': \S*mcdonalds.csv line 2, column 'VisitFrequency': name it in "
                   r"--categorical or leave it out with --exclude", "import", source, self.tmp / "no.h5")
        self.assertFalse((self.tmp / "no.h5").exists())

    def test_online_retail_by_pipe(self):
        source = t.data("online_retail_rfm.csv")
        header, column = table(source)
        expected = features(header, column, leave_out=["CustomerID"])
        self.check_features(self.convert(source, "--id", "CustomerID"), *expected)
        packed = lzma.compress(source.read_bytes())
        unpack = subprocess.run(["xz", "-dc"], input=packed, capture_output=True, check=True)
        found = self.convert("-", "--id", "CustomerID", stdin=unpack.stdout.decode(), name="pipe.h5")
        self.check_features(found, *expected)
        self.assertEqual(found["@source"], "stdin")
        (self.tmp / "x.csv.xz").write_bytes(packed)
        self.fails(3, r"xz data, not CSV text: \S*x.csv.xz: pipe it: xzcat FILE \| demarc import - OUT.h5", "import",
                   self.tmp / "x.csv.xz", self.tmp / "no.h5")

    def test_order_lines_with_quotes(self):
        """541,909 order lines: quoted commas, empty descriptions, ids that are no integers."""
        with lzma.open(t.data("online_retail.csv.xz")) as f:
            source = self.text(f.read())
        header, column = table(source)
        found = self.convert(source, "--id", "InvoiceNo", "--features", "Quantity,UnitPrice", "--categorical", "Country")
        self.check_features(found, *features(header, column, ["Country"],
                                             set(header) - {"Quantity", "UnitPrice", "Country"}))
        ids = np.array([v.encode() for v in column["InvoiceNo"]])
        self.assertEqual(found["id"].dtype, ids.dtype)
        np.testing.assert_array_equal(found["id"], ids)

    def test_every_number_of_ranks_writes_the_same(self):
        source = t.data("hillstrom.csv")
        options = ["--categorical", "zip_code,channel,history_segment", "--arm", "segment", "--outcomes", "visit"]
        one = self.convert(source, *options)
        for ranks, mode in ((3, "mpio"), (2, "funnel")):
            many = self.convert(source, *options, "--io", mode, name=f"{ranks}.h5", ranks=ranks)
            self.assertEqual(one.keys(), many.keys())
            for key in one:
                np.testing.assert_array_equal(one[key], many[key], err_msg=key)


class Columns(Import):
    def test_roles_and_order(self):
        source = self.text("key,w,mail,a,b,spend,sms,visit\r\n"
                           "x1,1.5,yes,1,NA,3,0,1\r\n"
                           "\xe4\xf6,0,no,2,\"4\",,1,0\r\n")
        found = self.convert(source, "--id", "key", "--weight", "w", "--reachable", "sms,mail", "--outcomes", "visit,spend",
                             "--features", "b,a,spend", "--float32")
        self.assertEqual(list(found["features@feature_names"]), ["a", "b", "spend"])
        np.testing.assert_array_equal(found["features"], np.array([[1, np.nan, 3], [2, 4, np.nan]], np.float32))
        np.testing.assert_array_equal(found["outcomes"], [[1, 3], [0, np.nan]])
        self.assertEqual(list(found["outcomes@outcome_names"]), ["visit", "spend"])
        self.assertEqual(found["reachable"].dtype, np.uint8)
        np.testing.assert_array_equal(found["reachable"], [[0, 1], [1, 0]])
        self.assertEqual(list(found["reachable@channel_names"]), ["sms", "mail"])
        np.testing.assert_array_equal(found["weight"], [1.5, 0])
        self.assertEqual([v.decode() for v in found["id"]], ["x1", "\xe4\xf6"])

    def test_missing_level_is_missing_everywhere(self):
        source = self.text("x,c\n1,red\n2,\n3,blue\n4,NA\n")
        p = t.run("import", source, self.tmp / "log.h5", "--categorical", "c")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertRegex(p.stderr, r"rows 4, features 3; missing feature values 2")
        found = self.convert(source, "--categorical", "c")
        self.assertEqual(list(found["features@feature_names"]), ["x", "c=blue", "c=red"])
        nan = np.nan
        np.testing.assert_array_equal(found["features"], [[1, 0, 1], [2, nan, nan], [3, 1, 0], [4, nan, nan]])

    def test_categorical_adds_to_features(self):
        source = self.text("a,b,c\n1,2,x\n3,4,y\n")
        found = self.convert(source, "--features", "a", "--categorical", "c")
        self.assertEqual(list(found["features@feature_names"]), ["a", "c=x", "c=y"])

    def test_ids(self):
        for text, expected in (("1\n-5\n9223372036854775807", np.array([1, -5, 2**63 - 1])),
                               ("1\n007", np.array([b"1", b"007"])), ("1\n+2", np.array([b"1", b"+2"])),
                               ("1\n9223372036854775808", np.array([b"1", b"9223372036854775808"])),
                               (" 1\n2", np.array([b" 1", b"2"]))):
            source = self.text("id,x\n" + "\n".join(v + ",0" for v in text.split("\n")) + "\n")
            found = self.convert(source, "--id", "id", "--force")
            self.assertEqual(found["id"].dtype, expected.dtype)
            np.testing.assert_array_equal(found["id"], expected)

    def test_arms(self):
        def arms(values, *options):
            rows = "".join(f"{i},{v}\n" for i, v in enumerate(values))
            return self.convert(self.text("x,arm\n" + rows), "--arm", "arm", "--force", *options)
        found = arms(["2", "0", "5"])
        np.testing.assert_array_equal(found["arm"], [2, 0, 5])
        self.assertNotIn("arm@arm_names", found)
        self.assertNotIn("arm@control", found)
        found = arms(["2", "0", "5"], "--control", "5")
        np.testing.assert_array_equal(found["arm"], [2, 1, 0])
        self.assertEqual(list(found["arm@arm_names"]), ["5", "0", "2"])
        found = arms(["mail", "Call", "none"])
        np.testing.assert_array_equal(found["arm"], [1, 0, 2])
        self.assertEqual(list(found["arm@arm_names"]), ["Call", "mail", "none"])
        self.assertEqual(found["arm@control"], "")
        found = arms(["TRUE", "FALSE"])
        np.testing.assert_array_equal(found["arm"], [1, 0])
        self.assertEqual(list(found["arm@arm_names"]), ["FALSE", "TRUE"])
        np.testing.assert_array_equal(arms(["-1", "0", "1"])["arm"], [0, 1, 2])  # not all >= 0: levels

    def test_arms_that_demarc_reads_back(self):
        """4096 arms are all a campaign may have: a code beyond is a name, and one arm more is none."""
        def arms(values, code=0):
            source = self.text("x,arm\n" + "".join(f"{i},{v}\n" for i, v in enumerate(values)))
            out = self.tmp / "out.h5"
            args = ["import", source, out, "--arm", "arm", "--force"]
            if code != 0:
                return self.fails(code, r"more than 4096 distinct values: .*this is no campaign arm", *args)
            self.ok(*args)
            self.ok("info", out)
            with h5py.File(out) as f:
                return f["arm"][:].tolist(), f["arm"].attrs.get("arm_names", np.array([])).tolist()

        self.assertEqual(arms([0, 4095]), ([0, 4095], []))
        self.assertEqual(arms([0, 4096]), ([0, 1], ["0", "4096"]))
        self.assertEqual(arms([5000, 7, 5000]), ([0, 1, 0], ["5000", "7"]))
        codes, names = arms([f"a{i:04d}" for i in range(4096)])
        self.assertEqual((codes, len(names)), (list(range(4096)), 4096))
        arms([f"a{i:04d}" for i in range(4097)], code=3)

    def test_text_keeps_its_spaces_and_lines(self):
        source = self.text('x,c\n 1 ," a"\n2,"b\r\nb"\n3," a"\n')
        found = self.convert(source, "--categorical", "c")
        self.assertEqual(list(found["features@feature_names"]), ["x", "c= a", "c=b\r\nb"])

    def test_delimiters(self):
        tab = self.text("a\tb\n1\t2\n", "tab.csv")
        for spelling in ("\\t", "\t"):
            np.testing.assert_array_equal(self.convert(tab, "--delimiter", spelling, "--force")["features"], [[1, 2]])
        self.fails(2, r"only one column: \S*tab.csv line 1, .*: try --delimiter '\\t'", "import", tab, self.tmp / "no.h5")

    def test_numbers_as_python_reads_them(self):
        rng = np.random.default_rng(7)
        values = np.concatenate([rng.standard_normal(5000) * 10.0 ** rng.integers(-300, 300, 5000),
                                 rng.integers(-2**63, 2**63 - 1, 2000).astype(float), [0.1, 5e-324, 1.7976931348623157e308]])
        texts = [repr(float(v)) for v in values] + [f"{v:.25e}" for v in values[:1000]]
        found = self.convert(self.text("x\n" + "\n".join(texts) + "\n"))
        np.testing.assert_array_equal(found["features"][:, 0], [float(v) for v in texts])

    def test_many_blocks(self):
        """More rows than one step of the copy holds."""
        n = 150_001
        rows = io.StringIO()
        rows.write("id,x,c,o\n")
        rows.writelines(f"k{i},{i}.25,{'abc'[i % 3]},{i % 2}\n" for i in range(n))
        found = self.convert(self.text(rows.getvalue()), "--id", "id", "--categorical", "c", "--outcomes", "o")
        i = np.arange(n)
        np.testing.assert_array_equal(found["features"][:, 0], i + 0.25)
        np.testing.assert_array_equal(found["features"][:, 1:], np.eye(3)[i % 3])
        np.testing.assert_array_equal(found["outcomes"][:, 0], i % 2)
        self.assertEqual(found["id"][-1], b"k150000")


class Refusals(Import):
    """Each case: options, the file, the exit code, and the whole error line after 'demarc: ' ({} = the file)."""

    def refuse(self, content, line, *options, code=3, ranks=1):
        source = self.text(content)
        before = set(os.listdir(self.tmp))
        p = self.fails(code, ".", "import", source, self.tmp / "out.h5", *options, ranks=ranks)
        lines = [s for s in p.stderr.splitlines() if s.startswith("demarc: ")]
        self.assertEqual(lines, ["demarc: " + line.replace("{}", str(source))])
        self.assertEqual(set(os.listdir(self.tmp)), before, "an output was left behind")

    def test_broken_csv(self):
        ragged = "quote fields that hold the delimiter, or check --delimiter"
        for content, line in (
            ("", "empty file: {}: a CSV file starts with a header"),
            ("a,b\n", "no customers: {}: there is a header but no row below it"),
            ("a,b\r\n\r\n\r\n", "no customers: {}: there is a header but no row below it"),
            ("a,b\n1,2\n3\n", f"1 field where the header has 2: {{}} line 3: {ragged}"),
            ("a,b\n1,2\n\n\n1,\"x\r\ny\",3\n", f"3 fields where the header has 2: {{}} line 5: {ragged}"),
            ("a,b\n1,\"x\ny\nz\n", "quote not closed: {}, record that starts at line 2: close the quote"),
            ("a,b\n1,2\n1,2\"\n", "stray quote: {} line 3: put quotes around the whole field and double those inside it"),
            (b"a,b\n1,\x002\n", "NUL byte: {} line 2: not a text file, or UTF-16: convert it with iconv -t UTF-8"),
            ("a,b\n1,2\n".encode("utf-16"), "UTF-16 text, not CSV text: {}: convert it with iconv -f UTF-16 -t UTF-8"),
            (b"a,b\n1,\"" + b"x" * (2 << 20) + b"\"\n",
             "field longer than 1 MiB: {}, record that starts at line 2: look for a quote that is not closed"),
        ):
            with self.subTest(line):
                self.refuse(content, line)

    def test_bad_values(self):
        hint = "name it in --categorical or leave it out with --exclude"
        for content, line, options in (
            ("a,income\n1,2\n\"1\",abc\n", f"not a number: 'abc': {{}} line 3, column 'income': {hint}", ()),
            ("a,b\r\n\"1\r\n\",2\r\n", f"not a number: '1\\x0d\\x0a': {{}} line 2, column 'a': {hint}", ()),
            ("a,b\n\"x\n\ny\",1\n\n2,0x10\n", f"not a number: '0x10': {{}} line 6, column 'b': {hint}", ("--categorical", "a")),
            ("a\n1\ninf\n", f"not a number: 'inf': {{}} line 3, column 'a': {hint}", ()),
            ("a\n1,5\n".replace(",", "\u00a0"), f"not a number: '1\u00a05': {{}} line 2, column 'a': {hint}", ()),
            ("a\n" + "z" * 60 + "\n", f"not a number: '{'z' * 40}...': {{}} line 2, column 'a': {hint}", ()),
            ("a\n1e999\n", "number too large for a double: '1e999': {} line 2, column 'a': correct it", ()),
            ("a\n1\n1e39\n", "number too large for a float32: '1e39': {} line 3, column 'a': correct it or leave --float32 out",
             ("--float32",)),
            ("a,w\n1,1\n2,-1\n", "negative weight: '-1': {} line 3, column 'w': weights are 0 or more: correct it",
             ("--weight", "w")),
            ("a,w\n1,\n", "missing weight: {} line 2, column 'w': give every customer a weight, or leave --weight out",
             ("--weight", "w")),
            ("a,i\n1,\n", "missing id: {} line 2, column 'i': give every customer an id, or leave --id out", ("--id", "i")),
            ("a,i\n1," + "i" * 1025 + "\n", f"id longer than 1024 bytes: '{'i' * 40}...': {{}} line 2, column 'i': name another "
             "column in --id", ("--id", "i")),
            (b"a,i\n1,M\xfcller\n", "not UTF-8: 'M\\xfcller': {} line 2, column 'i': convert the file with iconv -t UTF-8",
             ("--id", "i")),
            (b"a,c\n1,ok\n1,stra\xdfe\n", "not UTF-8: 'stra\\xdfe': {} line 3, column 'c': convert the file with iconv -t UTF-8",
             ("--categorical", "c")),
            ("a,m\n1,maybe\n", "not a number: 'maybe': {} line 2, column 'm': write 1, 0, yes or no, or leave the column out of "
             "--reachable", ("--reachable", "m")),
            ("a,m\n1,2\n", "neither 0 nor 1: '2': {} line 2, column 'm': write 1, 0, yes or no, or leave the column out of "
             "--reachable", ("--reachable", "m")),
            ("a,m\n1,\n", "missing value: {} line 2, column 'm': write 1, 0, yes or no, or leave the column out of --reachable",
             ("--reachable", "m")),
            ("a,g\n1,x\n1,\n", "missing arm: {} line 3, column 'g': leave out customers who were not in the campaign",
             ("--arm", "g")),
            ("a,o\n1,x\n", "not a number: 'x': {} line 2, column 'o': outcomes are numbers: correct it or leave the column out "
             "of --outcomes", ("--outcomes", "o")),
            ("a,c\n1,\n2,NA\n", "no value in any row: {}, categorical column 'c': leave it out with --exclude",
             ("--categorical", "c")),
            ("c=x,c\n1,x\n", "two features of one name: {}, 'c=x': rename a column", ("--categorical", "c")),
            ("a,b\n" + "".join(f"{i},v{i}\n" for i in range(10001)), "more than 10000 distinct values: {} line 10002, column "
             "'b': this is no category: leave it out with --exclude", ("--categorical", "b")),
            ("x,c\n1," + "y" * 1025 + "\n", f"level longer than 1024 bytes: '{'y' * 40}...': {{}} line 2, column 'c': this is no "
             "category: leave it out with --exclude", ("--categorical", "c")),
        ):
            with self.subTest(line):
                self.refuse(content, line, *options)

    def test_bad_columns(self):
        text = "a,b,g\n1,2,x\n3,4,y\n"
        for line, options in (
            ("no such column: --id 'z': {} has a, b, g: check the name and --delimiter", ("--id", "z")),
            ("no such column: --exclude 'A': {} has a, b, g: check the name and --delimiter", ("--exclude", "A")),
            ("column has two roles: 'a' is in --id and --outcomes: name it in one of them", ("--id", "a", "--outcomes", "a")),
            ("--control without --arm: import: name the column that holds 'x'", ("--control", "x")),
            ("no such arm: --control 'q': {}, column 'g' has 'x', 'y': name one of them", ("--arm", "g", "--control", "q")),
            ("no feature left: {}: name some in --features, or use fewer of the 3 columns for other things",
             ("--exclude", "a,b,g")),
        ):
            with self.subTest(line):
                self.refuse(text, line, *options, code=2)
        twice = "two columns of the same name: {} line 1, columns 1 and 3, 'a': rename one, or leave them out with --exclude"
        self.refuse("a,b,a\n1,2,3\n", twice)
        self.refuse(",b\n1,2\n", "column without a name: {} line 1, column 1: leave it out with --exclude column_1, or use it by "
                    "that name")
        self.refuse("ID;x\n1;2\n", "only one column: {} line 1, 'ID;x': try --delimiter ';'", code=2)
        self.assertEqual(list(self.convert(self.text("a,b,a\n1,2,3\n"), "--exclude", "a")["features@feature_names"]), ["b"])

    def test_long_header_is_cut_in_the_error(self):
        source = self.text(",".join(f"column{i}" for i in range(1000)) + "\n")
        p = self.fails(2, r"has column0, column1, .*, \.\.\. \(1000 in all\): check", "import", source, self.tmp / "o.h5",
                       "--id", "z")
        self.assertLess(len(p.stderr.splitlines()[-1]), 700)

    def test_files(self):
        source = self.text("a\n1\n")
        out = self.tmp / "out.h5"
        self.fails(3, r"no such file: \S*none\.csv: check the path", "import", self.tmp / "none.csv", out)
        self.fails(3, r"is a directory", "import", self.tmp, out)
        self.ok("import", source, out)
        self.fails(2, r"output exists", "import", source, out)
        self.ok("import", source, out, "--force")
        self.fails(2, r"output is the input", "import", source, source, "--force")
        self.assertEqual(source.read_text(), "a\n1\n")
        self.fails(5, r"no place for the output", "import", source, self.tmp / "none" / "out.h5")

    def test_pipes(self):
        """A pipe is read to its end, however late its first byte; one that nobody writes to is no input."""
        pipe = self.tmp / "pipe"
        os.mkfifo(pipe)
        self.fails(3, r"nobody writes to the pipe: \S*pipe: give a CSV", "import", pipe, self.tmp / "no.h5", timeout=60)
        writer = subprocess.Popen(["sh", "-c", 'exec >"$1"; sleep 4; echo a; echo 1', "sh", pipe])
        self.ok("import", pipe, self.tmp / "out.h5", timeout=60)
        self.assertEqual(writer.wait(10), 0)
        with h5py.File(self.tmp / "out.h5") as f:
            self.assertEqual(f["features"][:].tolist(), [[1.0]])

    def test_a_bad_output_is_refused_before_the_input_is_read(self):
        (self.tmp / "out.h5").write_text("mine")
        self.fails(2, "output exists", "import", self.text("broken\n\"\n"), self.tmp / "out.h5")
        self.assertEqual((self.tmp / "out.h5").read_text(), "mine")

    def test_dry_run_writes_nothing(self):
        source = self.text("a,c\n1,x\n,y\n")
        p = self.ok("import", source, self.tmp / "out.h5", "--categorical", "c", "--dry-run")
        self.assertRegex(p.stderr, r"rows 2, features 3; missing feature values 1; dry run, nothing written")
        self.assertEqual(os.listdir(self.tmp), ["in.csv"])
        self.refuse("a\nx\n", "not a number: 'x': {} line 2, column 'a': name it in --categorical or leave it out with --exclude",
                    "--dry-run")

    def test_no_rank_hangs(self):
        self.refuse("a\n1\nx\n", "not a number: 'x': {} line 3, column 'a': name it in --categorical or leave it out with "
                    "--exclude", ranks=4)

    def test_full_disk(self):
        """A tmpfs too small for the temporary rows, then one too small for the output beside them."""
        mount = self.tmp / "small"
        mount.mkdir()
        rows = self.text("x,y\n" + "1.5,2.5\n" * 200_000)  # 3.2 MB packed
        for size in ("2m", "5m"):
            if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", mount], capture_output=True).returncode != 0:
                self.skipTest("may not mount a tmpfs")
            try:
                self.fails(5, r"space", "import", rows, mount / "out.h5")
                self.assertEqual(os.listdir(mount), [])
            finally:
                subprocess.run(["umount", mount], check=True)


if __name__ == "__main__":
    t.main()
