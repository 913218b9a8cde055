"""An installed demarc: program, library by pkg-config and by CMake's find_package, header and schemas."""
import os
import subprocess
import unittest

from demarc_testing import Case, main

BUILD = os.environ.get("DEMARC_BUILD")

PROGRAM = r"""
#include <demarc/demarc.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    demarc_runtime rt;
    demarc_context *ctx = NULL;
    demarc_generate_options g;
    demarc_fit_options f;
    demarc_fit_result r;
    demarc_runtime_default(&rt);
    rt.verbosity = DEMARC_QUIET;
    if (demarc_context_create(&ctx, &rt) != DEMARC_OK) return 1;
    demarc_generate_options_default(&g);
    g.out = "c.h5";
    g.customers = 3000;
    g.features = 4;
    g.segments = 3;
    if (demarc_generate(ctx, &g) != DEMARC_OK) return 2;
    demarc_fit_options_default(&f);
    f.data = "c.h5";
    f.out = "run";
    f.k_lo = f.k_hi = 3;
    if (demarc_fit(ctx, &f, &r) != DEMARC_OK) return 3;
    printf("%s %d %lld\n", r.digest, (int)r.k, (long long)r.n);
    demarc_fit_result_clear(&r);
    if (demarc_fit(ctx, &f, NULL) != DEMARC_ERR_EXISTS || strstr(demarc_error(), "run") == NULL) return 4;
    demarc_context_destroy(&ctx);
    return ctx == NULL ? 0 : 5;
}
"""

CMAKE = """
cmake_minimum_required(VERSION 3.25)
project(user C)
find_package(demarc REQUIRED)
add_executable(user user.c)
target_link_libraries(user PRIVATE demarc::demarc)
"""


@unittest.skipIf(BUILD is None, "not run from a build folder")
class Install(Case):
    def command(self, *args, **kw):
        p = subprocess.run([str(a) for a in args], capture_output=True, text=True, cwd=self.tmp, **kw)
        self.assertEqual(p.returncode, 0, f"{args}\n{p.stdout}\n{p.stderr}")
        return p.stdout.strip()

    def test_install_and_use(self):
        prefix = self.tmp / "prefix"
        self.command("cmake", "--install", BUILD, "--prefix", prefix)
        self.assertIn("demarc", self.command(prefix / "bin" / "demarc", "--version"))
        self.assertTrue((prefix / "share/demarc/schema/diagnostics.schema.json").exists())
        (self.tmp / "user.c").write_text(PROGRAM)
        pc = next(prefix.glob("lib/**/pkgconfig/demarc.pc"))
        lib = pc.parent.parent
        env = dict(os.environ, PKG_CONFIG_PATH=str(pc.parent), LD_LIBRARY_PATH=str(lib))
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "demarc"],
                               capture_output=True, text=True, env=env, check=True).stdout.split()
        sanitize = os.environ.get("DEMARC_SANITIZE", "")
        extra = [f"-fsanitize={sanitize}"] if sanitize else []
        self.command("cc", "-std=c17", "-Wall", "-Werror", *extra, "user.c", "-o", "by_pkg_config", *flags)
        first = self.command("./by_pkg_config", env=env)
        self.assertRegex(first, r"^[0-9a-f]{32} 3 3000$")
        for name in ("c.h5", "run"):
            self.command("rm", "-r", name)
        (self.tmp / "CMakeLists.txt").write_text(CMAKE)
        self.command("cmake", "-S", ".", "-B", "b", f"-DCMAKE_PREFIX_PATH={prefix}",
                     f"-DCMAKE_C_FLAGS={' '.join(extra)}")
        self.command("cmake", "--build", "b")
        self.assertEqual(self.command("b/user", env=env), first)


if __name__ == "__main__":
    main()
