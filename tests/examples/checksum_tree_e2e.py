#!/usr/bin/env python3
"""checksum_tree from the outside: what it prints, how it ends, what it needs.

usage: checksum_tree_e2e.py PROGRAM [--slack FACTOR] [unittest arguments, such as Memory or -v]
FACTOR stretches the limits on time, for instrumented builds.

No step waits for a length of time: each polls for what it needs to see.
"""
import argparse
import array
import fcntl
import hashlib
import os
import pty
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
import unittest

PROGRAM = ""
SLACK = 1.0
MIB = 1 << 20
# Takes many seconds to hash, so a run that meets it is still going when the test acts.
ENDLESS = 64 << 30
LINE = re.compile(rb"\\?[0-9a-f]{64}  [^\n]+\n")


def run(*arguments, **options):
    options.setdefault("timeout", 60 * SLACK)
    return subprocess.run([PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def sha256sum(paths):
    return subprocess.run(["sha256sum", "--", *paths], stdout=subprocess.PIPE, check=True).stdout if paths else b""


def wait_until(condition, what):
    deadline = time.monotonic() + 60 * SLACK
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"never seen: {what}")
        time.sleep(0.001)


def position_in(process, path):
    """How far `process` has read the file, or None while it is not open."""
    folder = f"/proc/{process.pid}/fd"
    try:
        for descriptor in os.listdir(folder):
            if os.readlink(f"{folder}/{descriptor}") == path:
                with open(f"/proc/{process.pid}/fdinfo/{descriptor}") as info:
                    return int(info.readline().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None


def waiting_in(pipe):
    """Bytes written to the pipe and not read."""
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


def write(path, content=b""):
    with open(path, "wb") as file:
        file.write(content)


def sparse(path, size):
    write(path)
    os.truncate(path, size)


class TreeTest(unittest.TestCase):
    def setUp(self):
        self.root = os.path.realpath(tempfile.mkdtemp(prefix="checksum_tree_")).encode()
        self.addCleanup(shutil.rmtree, self.root)

    def start(self, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE):
        process = subprocess.Popen([PROGRAM, *arguments], stdout=stdout, stderr=stderr, start_new_session=True)

        def clean_up():
            process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

        self.addCleanup(clean_up)
        return process

    def path(self, *names):
        path = os.path.join(self.root, *names)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def files(self):
        """As `find -type f`, sorted by the bytes of the path."""
        found = (os.path.join(folder, name) for folder, _, names in os.walk(self.root) for name in names)
        return sorted(path for path in found if os.path.isfile(path) and not os.path.islink(path))

    def make_odd_tree(self):
        for name in (b"plain", b"two words", b"-dash", b"new\nline", b"back\\slash", b"carriage\rreturn", b"tab\tbell\a",
                     b"all\\\n\rthree", b"\xff\xfe not utf-8", "große Löwen".encode(), b" leading", b"trailing ", b"\\", b"\n"):
            write(self.path(name), name * 3)
            write(self.path(b"below", name + b" directory", name), name)
        write(self.path(b"empty"))
        os.mkdir(self.path(b"empty directory"))
        for size in (1, 4095, 4096, 262143, 262144, 262145, 524288, 3 * MIB + 17):
            write(self.path(b"sizes", b"%d" % size), os.urandom(size))
        os.symlink(b".", self.path(b"loop", b"here"))
        os.symlink(b"../loop", self.path(b"loop", b"there"))
        os.symlink(b"../plain", self.path(b"loop", b"link to a file"))
        os.symlink(b"nowhere", self.path(b"loop", b"dangling"))
        os.mkfifo(self.path(b"fifo"))
        os.makedirs(self.path(*[b"d"] * 60))
        write(self.path(*[b"d"] * 60, b"deep"), b"deep")

    def assert_whole_lines(self, output):
        self.assertEqual(LINE.sub(b"", output), b"", "torn or foreign output")

    def assert_verifies(self, output):
        self.assert_whole_lines(output)
        check = subprocess.run(["sha256sum", "-c", "--quiet", "--strict"], input=output, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual((check.returncode, check.stdout), (0, b""))

    def assert_group_gone(self, process):
        with self.assertRaises(ProcessLookupError):
            os.killpg(process.pid, 0)


class Output(TreeTest):
    def test_by_path_it_prints_what_sha256sum_prints(self):
        self.make_odd_tree()
        result = run(self.root)
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        self.assertEqual(result.stdout, sha256sum(self.files()))
        self.assert_verifies(result.stdout)

    def test_completed_order_prints_the_same_lines(self):
        self.make_odd_tree()
        for extra in ((), ("--jobs", "1"), ("--workers", "1"), ("--workers", "4", "--jobs", "3")):
            result = run("--order", "completed", *extra, self.root)
            self.assertEqual((result.returncode, result.stderr), (0, b""))
            self.assertEqual(sorted(LINE.findall(result.stdout)), sorted(LINE.findall(sha256sum(self.files()))))
            self.assert_verifies(result.stdout)

    def test_paths_may_be_files_directories_and_repeated(self):
        write(self.path(b"a", b"1"), b"one")
        write(self.path(b"-"), b"dash")
        write(self.path(b"-b"), b"b")

        def lines_for(*arguments):
            result = run(*arguments, cwd=self.root)
            self.assertEqual((result.returncode, result.stderr), (0, b""))
            return [(line[:64].decode(), line[66:].decode()) for line in result.stdout.splitlines()]

        one, dash, b = (hashlib.sha256(content).hexdigest() for content in (b"one", b"dash", b"b"))
        self.assertEqual(lines_for("--", "a", "-b", "-", "a/1"), [(b, "-b"), (dash, "./-"), (one, "a/1"), (one, "a/1")])
        self.assertEqual(lines_for("a/"), [(one, "a/1")])
        self.assertEqual(lines_for("."), [(dash, "./-"), (b, "./-b"), (one, "./a/1")])

    def test_nothing_to_hash_is_no_error(self):
        result = run(self.root)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b"", b""))

    def test_many_files_in_many_directories(self):
        for folder in range(40):
            for name in range(60):
                write(self.path(b"%d" % folder, b"%d" % name), b"%d/%d" % (folder, name))
        result = run(self.root)
        self.assertEqual((result.returncode, result.stdout), (0, sha256sum(self.files())))

    def test_a_big_sparse_file(self):
        sparse(self.path(b"sparse"), 700 * MIB + 1)
        result = run(self.root)
        self.assertEqual((result.returncode, result.stdout), (0, sha256sum(self.files())))

    def test_more_jobs_than_descriptors(self):
        for name in range(100):
            sparse(self.path(b"%d" % name), 3 * MIB)

        def few_descriptors():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

        result = run("--jobs", "4096", self.root, preexec_fn=few_descriptors)
        self.assertEqual((result.returncode, result.stderr, result.stdout), (0, b"", sha256sum(self.files())))

    def test_a_full_disk_is_reported_once(self):
        self.make_odd_tree()
        for order in ("path", "completed"):
            with open("/dev/full", "wb") as full:
                result = subprocess.run([PROGRAM, "--order", order, self.root], stdout=full, stderr=subprocess.PIPE)
            self.assertEqual(result.returncode, 1)
            self.assertEqual(result.stderr, b"checksum_tree: write error: No space left on device\n")

    def test_a_bar_with_rate_and_eta_only_on_a_terminal(self):
        sparse(self.path(b"big"), ENDLESS)
        write(self.path(b"small"), b"small")
        controller, terminal = pty.openpty()
        self.addCleanup(os.close, controller)
        process = self.start("--order", "completed", self.root, stderr=terminal)
        os.close(terminal)
        seen = bytearray()

        def read_terminal():
            if not select.select([controller], [], [], 0.01)[0]:
                return True
            try:
                seen.extend(os.read(controller, 4096))
                return True
            except OSError:  # the other end is closed
                return False

        def bar_seen():
            read_terminal()
            return re.search(rb"%  1/2 files  [0-9.]+ [MG]iB  [0-9.]+ [KMG]iB/s  ETA \d+:\d\d", seen)

        wait_until(bar_seen, "a bar with rate and ETA")
        process.send_signal(signal.SIGINT)
        wait_until(lambda: not read_terminal(), "the end")
        self.assertEqual(process.wait(), 130)
        self.assertEqual(process.stdout.read(), sha256sum([self.path(b"small")]))
        self.assertRegex(seen, rb"\x1b\[Kchecksum_tree: interrupted: 1 files \([^\n]*\r\n\Z")


class Permissions(TreeTest):
    def test_an_unreadable_file_and_directory_are_named_and_the_rest_is_hashed(self):
        self.make_odd_tree()
        expected = sha256sum(self.files())
        for name in (b"locked", b"locked\ntwice"):
            write(self.path(name), b"secret")
            os.chmod(self.path(name), 0)
        os.mkdir(self.path(b"shut"), 0)
        self.addCleanup(os.chmod, self.path(b"shut"), 0o700)
        command = [PROGRAM, self.root]
        if os.geteuid() == 0:  # root without the right to read everything
            command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", *command]
            if subprocess.run([*command[:-2], "true"], stderr=subprocess.DEVNULL).returncode != 0:
                self.skipTest("root cannot give up reading everything here")
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual((result.returncode, result.stdout), (1, expected))
        self.assertEqual(sorted(result.stderr.splitlines(True)), [
            b"checksum_tree: " + self.path(name) + b": Permission denied\n" for name in (b"locked", b"locked\\ntwice", b"shut")])


class Failures(TreeTest):
    def test_a_root_of_another_kind_is_named(self):
        os.symlink(b".", self.path(b"link"))
        os.mkfifo(self.path(b"fifo"))
        result = run("link", "fifo", cwd=self.root)
        self.assertEqual((result.returncode, result.stdout), (1, b""))
        self.assertEqual(sorted(result.stderr.splitlines()),
                         [b"checksum_tree: fifo: Not a regular file or directory", b"checksum_tree: link: Symbolic link, not followed"])

    def test_a_file_that_vanishes_during_the_run_is_named(self):
        sparse(self.path(b"first"), ENDLESS)
        for name in range(2000):
            write(self.path(b"second", b"%d" % name))
        # One file at a time, the endless one first: names of second/ are in the same batch, and none of them has been opened yet.
        process = self.start("--jobs", "1", self.path(b"first"), self.path(b"second"))
        wait_until(lambda: position_in(process, self.path(b"first").decode()), "the first file being read")
        for name in range(2000):
            os.unlink(self.path(b"second", b"%d" % name))
        os.truncate(self.path(b"first"), 0)
        output, errors = process.communicate(timeout=60 * SLACK)
        self.assertEqual(process.returncode, 1)
        self.assertEqual(len(LINE.findall(output)), 1)
        self.assertRegex(errors, rb"(?m)^checksum_tree: \S+/second/\d+: No such file or directory$")

    def test_of_a_file_that_shrinks_what_was_read_is_hashed(self):
        sparse(self.path(b"shrinking"), ENDLESS)
        process = self.start(self.root)
        wait_until(lambda: position_in(process, self.path(b"shrinking").decode()), "the file being read")
        os.truncate(self.path(b"shrinking"), 1)
        output, errors = process.communicate(timeout=60 * SLACK)
        self.assertEqual((process.returncode, errors), (0, b""))
        self.assert_whole_lines(output)
        prefix, page = hashlib.sha256(), bytes(4096)
        for _ in range(MIB):  # at most the first 4 GiB
            if prefix.hexdigest().encode() == output[:64]:
                return
            prefix.update(page)
        self.fail("not the hash of what could have been read")

    def test_a_file_that_is_too_slow_is_named_and_the_rest_is_hashed(self):
        sparse(self.path(b"slow"), ENDLESS)
        write(self.path(b"quick"), b"quick")
        result = run("--file-timeout", "0.3", self.root)
        self.assertEqual((result.returncode, result.stdout), (1, sha256sum([self.path(b"quick")])))
        self.assertEqual(result.stderr, b"checksum_tree: " + self.path(b"slow") + b": timed out after 0.3 s\n")

    def test_a_run_that_is_too_slow_ends_with_124_and_prints_what_it_has(self):
        sparse(self.path(b"slow"), ENDLESS)
        write(self.path(b"quick"), b"quick")
        for order in ("path", "completed"):
            result = run("--timeout", "0.5", "--order", order, self.root)
            self.assertEqual((result.returncode, result.stdout), (124, sha256sum([self.path(b"quick")])))
            self.assertRegex(result.stderr, rb"\Achecksum_tree: timed out after 0.5 s: 1 files \([^\n]*\) in [^\n]* s\n\Z")


class Interrupt(TreeTest):
    def interrupt(self, process):
        """Sends SIGINT; the seconds until the process has gone."""
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        wait_until(lambda: process.poll() is not None, "the end after SIGINT")
        return time.monotonic() - sent

    def assert_interrupted(self, process, elapsed):
        self.assertEqual(process.returncode, 130)
        self.assertLess(elapsed, 0.5 * SLACK)
        self.assertRegex(process.stderr.read(), rb"\Achecksum_tree: interrupted: \d+ files \([^\n]*\) in [^\n]* s\n\Z")
        self.assert_group_gone(process)

    def make_tree(self):
        for name in range(3000):
            write(self.path(b"%d" % name), os.urandom(3000))
        sparse(self.path(b"endless"), ENDLESS)

    def test_in_completed_order_after_the_first_lines(self):
        self.make_tree()
        process = self.start("--order", "completed", self.root)
        first = process.stdout.readline()
        elapsed = self.interrupt(process)
        output = first + process.stdout.read()
        self.assert_interrupted(process, elapsed)
        self.assert_verifies(output)

    def test_in_path_order(self):
        self.make_tree()
        process = self.start(self.root)
        wait_until(lambda: position_in(process, self.path(b"endless").decode()), "the endless file being read")
        elapsed = self.interrupt(process)
        output = process.stdout.read()
        self.assert_interrupted(process, elapsed)
        self.assert_whole_lines(output)
        self.assertEqual(output, b"".join(sorted(output.splitlines(True), key=lambda line: line[66:-1])))
        if output:
            self.assert_verifies(output)

    def test_while_nobody_reads_the_output(self):
        for name in range(3000):
            write(self.path(b"%d" % name, b"x" * 200))
        process = self.start("--order", "completed", self.root)
        wait_until(lambda: waiting_in(process.stdout) > 56 * 1024, "a full pipe")
        elapsed = self.interrupt(process)
        output = process.stdout.read()
        self.assert_interrupted(process, elapsed)
        self.assert_verifies(output)

    def test_at_any_moment(self):
        self.make_tree()
        with tempfile.TemporaryFile() as output:
            for step in range(12):
                output.seek(0)
                output.truncate()
                process = self.start("--order", "completed", self.root, stdout=output)
                wanted = step * 20000
                # The handler is there once the endless file or some output is.
                wait_until(lambda: position_in(process, self.path(b"endless").decode()) is not None
                           or os.fstat(output.fileno()).st_size > wanted, "something to interrupt")
                self.assert_interrupted(process, self.interrupt(process))
                output.seek(0)
                self.assert_whole_lines(output.read())


class WrongUse(TreeTest):
    def assert_refused(self, named, *arguments):
        result = run(*arguments)
        self.assertEqual((result.returncode, result.stdout), (2, b""), arguments)
        self.assertRegex(result.stderr, rb"\Achecksum_tree: [^\n]*\n\Z")
        self.assertIn(named, result.stderr)

    def test_is_one_line_that_names_it(self):
        self.assert_refused(b"--bogus", "--bogus")
        self.assert_refused(b"-x", "-x")
        self.assert_refused(b"/no/such/path", "/no/such/path")
        self.assert_refused(b"no such \\n path", self.root, "no such \n path")
        self.assert_refused(b"--jobs", "--jobs", "0")
        self.assert_refused(b"--jobs", "--jobs", "-1")
        self.assert_refused(b"--jobs", "--jobs", "many")
        self.assert_refused(b"--jobs", "--jobs")
        self.assert_refused(b"--workers", "--workers", "0")
        self.assert_refused(b"--timeout", "--timeout", "-1")
        self.assert_refused(b"--timeout", "--timeout=-1")
        self.assert_refused(b"--timeout", "--timeout", "0")
        self.assert_refused(b"--timeout", "--timeout", "nan")
        self.assert_refused(b"--timeout", "--timeout", "soon")
        self.assert_refused(b"--file-timeout", "--file-timeout", "inf")
        self.assert_refused(b"--order", "--order", "random")

    def test_help_and_version(self):
        help_text = run("--help")
        self.assertEqual((help_text.returncode, help_text.stderr), (0, b""))
        for word in (b"--order", b"--jobs", b"--workers", b"--timeout", b"--file-timeout", b"124", b"130"):
            self.assertIn(word, help_text.stdout)
        self.assertRegex(run("--version").stdout, rb"\Achecksum_tree \(Sheaf\) \d+\.\d+\.\d+\n\Z")


class Memory(TreeTest):
    def peak(self, *arguments):
        """Peak resident memory of a successful run, in MiB."""
        process = subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0)
        return usage.ru_maxrss / 1024

    def test_a_sparse_file_of_4_gib(self):
        sparse(self.path(b"sparse"), 4 << 30)
        self.assertLess(self.peak(self.root), 100)

    def test_100_000_files(self):
        for folder in range(100):
            for name in range(1000):
                write(self.path(b"%d" % folder, b"%d" % name))
        self.assertLess(self.peak(self.root), 100)
        few = self.peak("--order", "completed", *(self.path(b"%d" % folder) for folder in range(10)))
        many = self.peak("--order", "completed", self.root)
        self.assertLess(many, 100)
        self.assertLess(many - few, 8, "memory grows with the number of files")


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("program", type=os.path.abspath)
    options.add_argument("--slack", type=float, default=1.0)
    known, rest = options.parse_known_args()
    PROGRAM, SLACK = known.program, known.slack
    unittest.main(argv=[sys.argv[0], *rest])
