#!/usr/bin/env python3
"""./dev before it builds anything: which packages it misses, what it does about that, and what it says to wrong commands.

usage: dev_test.py TREE [unittest arguments]

A copy of the script runs in an empty folder, with a PATH of stand-ins for dpkg-query, sudo and apt-get, and of the few real tools that
it needs until then. cmake is not among them, so nothing is ever built: with all packages there, the script ends at its configuration.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

DEV = pathlib.Path()
REAL = ("bash", "cat", "dirname", "nproc", "readlink")
STAND_INS = {
    # Says of every package asked for that it is installed, but for those in $MISSING.
    "dpkg-query": """
        shift 3  # -W -f FORMAT
        for package; do
          case " $MISSING " in *" $package "*) ;; *) printf 'installed:%s ' "$package" ;; esac
        done
        [ -z "$MISSING" ]""",
    "sudo": """
        [ "$1" != -n ] || shift
        "$@" """,
    "apt-get": """
        echo "what apt-get says"
        echo "$*" >>"$CALLS"
        [ -z "$BROKEN" ]""",
}
LINE = "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "
UNINSTALLABLE = "dev: these packages are missing and could not be installed. Run as root:\n"


class Dev(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.path = self.folder / "path"
        self.path.mkdir()
        self.dev = self.folder / "dev"
        shutil.copy(DEV, self.dev)
        for name in REAL:
            (self.path / name).symlink_to(shutil.which(name))
        for name, text in STAND_INS.items():
            (self.path / name).write_text(f"#!/bin/sh{text}\n")
            (self.path / name).chmod(0o755)
        self.calls = self.folder / "calls"

    def run_dev(self, *arguments, options=None, **variables):
        environment = {"PATH": str(self.path), "CALLS": str(self.calls), "MISSING": "", "BROKEN": "", **variables}
        return subprocess.run([self.dev, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, check=False, **(options or {}))

    def apt_get_was_called_with(self):
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def test_what_can_not_be_installed_is_named_with_the_line_that_would(self):
        result = self.run_dev("demo", MISSING="libfmt-dev ninja-build", BROKEN="yes")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        lines = result.stderr.splitlines(keepends=True)
        self.assertEqual(lines[0], "dev: installing ninja-build libfmt-dev\n")
        self.assertEqual(lines[-2:], [UNINSTALLABLE, LINE + "ninja-build libfmt-dev\n"])
        self.assertEqual(self.apt_get_was_called_with(), ["update"])

    def test_without_leave_to_become_root_nothing_is_tried(self):
        (self.path / "sudo").write_text("#!/bin/sh\nexit 1\n")
        self.folder.chmod(0o755)
        nobody = {"user": 65534} if os.geteuid() == 0 else {}
        result = self.run_dev("demo", MISSING="cmake", options=nobody)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertEqual(result.stderr, f"dev: installing cmake\n{UNINSTALLABLE}{LINE}cmake\n")
        self.assertEqual(self.apt_get_was_called_with(), [])

    def test_what_is_missing_is_installed_and_then_it_goes_on(self):
        result = self.run_dev("demo", MISSING="python3")
        self.assertEqual(self.apt_get_was_called_with(), ["update", "install -y --no-install-recommends python3"])
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("what apt-get says\n", result.stderr)
        self.assertNotIn(UNINSTALLABLE, result.stderr)
        self.assertRegex(result.stderr, r"(?m)^dev: configuring .* failed$")

    def test_with_everything_there_nothing_is_installed(self):
        result = self.run_dev("demo")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertRegex(result.stderr, r"(?m)^dev: configuring .* failed$")
        self.assertEqual(self.apt_get_was_called_with(), [])

    def test_another_compiler_needs_no_clang(self):
        for compiler, expected in (("", "clang-19\n"), ("g++", "cmake\n")):
            variables = {"CXX": compiler} if compiler else {}
            result = self.run_dev("demo", MISSING="cmake clang-19", BROKEN="yes", **variables)
            self.assertTrue(result.stderr.endswith(expected), result.stderr)

    def test_elsewhere_than_on_debian_it_says_what_it_assumes(self):
        (self.path / "dpkg-query").unlink()
        result = self.run_dev("demo", MISSING="cmake")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertRegex(result.stderr, r"\Adev: not a Debian system; assuming these are there: git cmake .*\n")
        self.assertEqual(self.apt_get_was_called_with(), [])

    def test_help_needs_nothing_and_wrong_commands_end_with_2(self):
        for arguments in ((), ("help",), ("--help",)):
            result = self.run_dev(*arguments, MISSING="cmake")
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertTrue(result.stdout.startswith("usage: ./dev COMMAND\n"))
        for arguments in (("frobnicate",), ("check", "--fool")):
            result = self.run_dev(*arguments, MISSING="cmake")
            self.assertEqual((result.returncode, result.stdout), (2, ""))
            self.assertRegex(result.stderr, r"\A(usage|dev): .")
        self.assertEqual(self.apt_get_was_called_with(), [])


if __name__ == "__main__":
    DEV = pathlib.Path(sys.argv[1]).resolve() / "dev"
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
