#!/usr/bin/env python3
"""The runner itself: comparison, rewriting, the script format, and scripts that are wrong.

argv: the raft_script binary. A mistake in a script must be an answer, never a crash.
"""
import os
import subprocess
import sys
import tempfile
import unittest

RUNNER = sys.argv.pop(1)
START = "add-nodes 1 voters=(1) index=2\n----\n"
STARTED = ("INFO 1 switched to configuration voters=(1)\nINFO 1 became follower at term 0\n"
           "INFO newRaft 1 [peers: [1], term: 0, commit: 2, applied: 2, lastindex: 2, lastterm: 1]\n")


class Runner(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def write(self, name, text):
        path = os.path.join(self.folder.name, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(text.encode())
        return path

    def run_script(self, *args):
        done = subprocess.run([RUNNER, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=60, check=False)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def answer(self, text):
        """The output of the last directive."""
        path = self.write("answer.txt", text + "\n----\n")
        code, out, err = self.run_script("--rewrite", path)
        self.assertEqual((code, err), (0, ""))
        return out.rsplit("----\n", 1)[1]

    # ---- folders ---------------------------------------------------------------------------------

    def test_folder_links_to_itself_are_not_followed(self):
        self.write("a.txt", START + STARTED)
        for name in "xyz":
            os.symlink(".", os.path.join(self.folder.name, name))
        self.assertEqual(self.run_script(self.folder.name)[:2], (0, "1 passed, 0 failed\n"))

    # ---- comparison ------------------------------------------------------------------------------

    def test_compare_log_lines_differ_only_strict_fails(self):
        path = self.write("a.txt", START + "INFO something else\n")
        self.assertEqual(self.run_script(path)[:2], (0, "1 passed, 0 failed\n"))
        self.assertEqual(self.run_script("--semantic", path)[0], 0)
        self.assertEqual(self.run_script("--strict", path)[0], 1)

    def test_compare_difference_shows_file_line_command_and_counts_last(self):
        good = self.write("b/good.txt", START + STARTED)
        bad = self.write("b/c/bad.txt", "# a comment\n\nraft-state\n----\nwrong\n")
        code, out, _ = self.run_script("--strict", os.path.join(self.folder.name, "b"))
        self.assertEqual(code, 1)
        self.assertIn(f"--- {bad}:3: raft-state: expected\n+++ {bad}:3: raft-state: actual\n"
                      "@@ -1,1 +1,1 @@ raft-state\n-wrong\n+ok\n", out)
        self.assertNotIn(good, out)
        self.assertTrue(out.endswith("\n1 passed, 1 failed\n"), out)

    def test_compare_long_output_shows_hunks_with_context(self):
        script = START + STARTED + "\nlog-level none\n----\nok\n\n" + "".join(
            f"propose 1 {i}\n----\nraft proposal dropped\n\n" for i in range(3))
        self.assertEqual(self.run_script("--strict", self.write("d.txt", script))[0], 0)
        lines = "".join(f"{i}/{i} x\n" for i in range(20))
        out = self.run_script(self.write("e.txt", "raft-state\n----\n" + lines))[1]
        self.assertIn("@@ -1,20 +1,1 @@", out)

    def test_paths_missing_or_wrong_option_fails(self):
        self.assertEqual(self.run_script(os.path.join(self.folder.name, "none"))[0], 1)
        self.assertEqual(self.run_script("--huh", ".")[0], 1)
        self.assertEqual(self.run_script()[0], 1)

    # ---- the format ------------------------------------------------------------------------------

    def test_format_subtest_and_continued_line_are_understood(self):
        text = ("subtest one\n\nadd-nodes 1 \\\n  voters=(1) \\\n  index=2\n----\n" + STARTED +
                "\nsubtest end\n\nraft-state\n----\n1: StateFollower (Voter) Term:0 Lead:0\n")
        path = self.write("f.txt", text)
        self.assertEqual(self.run_script("--strict", path)[1], "1 passed, 0 failed\n")
        self.assertEqual(self.run_script("--rewrite", path)[1], text)

    def test_format_doubled_output_is_read_and_checked(self):
        ok = "raft-state\n----\n----\nok\n----\n----\n\n_breakpoint\n----\nok\n"
        self.assertEqual(self.run_script("--strict", self.write("g.txt", ok))[0], 0)
        inner = "raft-state\n----\n----\nok\n\nmore\n----\n----\n"
        self.assertIn("-more", self.run_script("--strict", self.write("h.txt", inner))[1])
        for wrong in ("raft-state\n----\n----\nok\n", ok.replace("\n\n_", "\n_"),
                      "raft-state a=(b\n----\nok\n"):
            self.assertIn(":1: ", self.run_script(self.write("i.txt", wrong))[1])

    def test_format_carriage_returns_are_dropped(self):
        text = (START + STARTED).replace("\n", "\r\n")
        self.assertEqual(self.run_script("--strict", self.write("j.txt", text))[0], 0)

    def test_rewrite_replaces_outputs_and_keeps_the_rest(self):
        path = self.write("k.txt", "# why\n" + START + "old\n\n\n# tail\n")
        self.assertEqual(self.run_script("--rewrite", path),
                         (0, "# why\n" + START + STARTED + "\n\n# tail\n", ""))

    def test_language_is_told_by_commands_not_by_folder(self):
        quorum = "interaction/quorum/l.txt"
        self.assertEqual(self.run_script("--strict", self.write(
            quorum, "committed cfg=(1) idx=(7)\n----\n     idx\n>      7    (id=1)\n7\n\n"
            "vote cfg=(1,2) cfgj=zero votes=(y,_)\n----\nVotePending\n"))[0], 0)
        self.assertEqual(self.run_script("--strict", self.write(
            "quorum/m.txt", "simple\nv1\n----\nvoters=(1)\n1: StateProbe match=0 next=1\n\n"
            "leave-joint\n----\ncan't leave a non-joint config\n"))[0], 0)

    # ---- scripts that are wrong ------------------------------------------------------------------

    def test_mistakes_on_the_way_to_a_node_are_answers(self):
        for command in ("add-nodes", "add-nodes x", "add-nodes 18446744073709551615",
                        "add-nodes 1 huh=1", "add-nodes 1 voters=(x) index=2",
                        "add-nodes 1 voters=(1) voters=(1) index=2", "add-nodes 1 inflight=0",
                        "add-nodes 1 voters=(1) learners=(1) index=2",
                        "add-nodes 1 voters=(0) index=2", "add-nodes 1 learners=(1) index=2",
                        "add-nodes 1 election-tick=4294967299", "add-nodes 1 heartbeat-tick=3",
                        "add-nodes 1 read-only=lease-based", "add-nodes 1 prevote=maybe",
                        "add-nodes 1 voters=(1) index=18446744073709551615"):
            answer = self.answer(command)
            self.assertNotIn("INFO", answer, command)
            self.assertNotEqual(answer, "ok\n", command)
        self.assertEqual(self.answer("add-nodes 1 voters=(1) index=1"),
                         "index must be specified as > 1 due to bootstrap\n")

    def test_mistakes_on_a_node_are_answers(self):
        for command in ("campaign", "campaign 9", "campaign 1 2", "propose 1", "propose 1 a b",
                        "send-snapshot 1", "report-unreachable 1", "report-snapshot 1 1 status=x",
                        "compact 1 99", "compact 1 x", "deliver-msgs 9", "deliver-msgs drop=(x)",
                        "deliver-msgs 1 type=MsgHuh", "stabilize 9", "stabilize huh=1",
                        "stabilize log-level=huh", "tick-election x", "restart 9", "status",
                        "set-randomized-election-timeout 1", "transfer-leadership from=1",
                        "propose-conf-change 1 v1=true", "propose-conf-change 1 transition=huh",
                        "propose-conf-change 1\nx2", "propose-conf-change 1\nv", "step 1",
                        "step 1 type=MsgHuh", "step 1 type=MsgApp entries=(1)",
                        "step 1 type=MsgApp index=x", "step 1 type=MsgApp term=1 term=2",
                        "log-level huh", "raft-log 1 2", "huh 1", "read-index 1"):
            answer = self.answer(START + STARTED + "\n" + command)
            self.assertNotEqual(answer, "ok\n", command)
        self.assertEqual(self.answer("huh"), "unknown command\n")

    def test_mistakes_in_the_small_languages_are_answers(self):
        for command in ("committed cfg=(1)", "committed cfg=(x) idx=(1)", "vote cfg=(1) votes=(z)",
                        "committed cfg=(1) idx=(1) huh=1", "committed cfg=(1) idx=(x)"):
            self.assertNotIn("Vote", self.answer(command))
        for command, answer in (("simple\nx1", "unknown input: x1\n"),
                                ("simple\nv", "unknown token v\n"),
                                ("enter-joint autoleave=x", "autoleave must be true or false\n"),
                                ("leave-joint\nv1", "this command takes no input\n")):
            self.assertEqual(self.answer(command), answer)

    def test_far_index_costs_no_memory(self):
        self.assertIn("1/1000000000001", self.answer(
            START.replace("index=2", "index=1000000000000") + "\ncampaign 1\n----\n\nstabilize"))


if __name__ == "__main__":
    unittest.main()
