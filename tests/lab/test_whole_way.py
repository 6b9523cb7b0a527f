"""From bare hosts to an answered prompt, by the commands of the README, on real lab hosts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.lab.commands import Commands
from tests.lab.conftest import Site

HOSTS = ("h1", "h2", "h3")
MEMORY = 200e6  # bytes


def test_gemma_answers_on_every_host_through_its_gateway(
    site: Site, commands: Commands, record_property: Callable[[str, object], None]
) -> None:
    question = "What is the capital of France? Answer in one sentence."
    ran = commands.ok("sealift", "ask", "lab", "chat", question, "--json")
    answers = {host: answer["text"] for host, answer in json.loads(ran.out).items()}
    assert sorted(answers) == list(HOSTS)
    for host, answer in answers.items():
        record_property(host, answer)
        assert "Paris" in answer


def test_every_form_of_asking_is_answered_on_every_host(site: Site, commands: Commands) -> None:
    trials = json.loads(commands.ok("sealift", "try", "lab", "--json").out)
    assert [trial for trial in trials if trial["problem"]] == []
    asked = {(trial["host"], trial["call"]) for trial in trials}
    assert {(host, "POST /v1/chat/completions") for host in HOSTS} < asked


def test_acceptance_passes_on_every_host_and_the_evidence_names_the_bundle(site: Site) -> None:
    evidence = json.loads((site.evidence / "evidence.json").read_text())
    assert evidence["bundle"] == site.bundle_digest
    assert {result["host"] for result in evidence["results"]} == set(HOSTS)
    assert [result for result in evidence["results"] if result["outcome"] != "passed"] == []
    page = (site.evidence / "evidence.html").read_text()
    assert site.bundle_digest in page
    assert "<script src" not in page and "http://" not in page.replace("http://www.w3.org", "")
    assert (site.evidence / "evidence.xml").exists()


def test_no_claim_was_skipped(site: Site) -> None:
    evidence = json.loads((site.evidence / "evidence.json").read_text())
    claims = {result["claim"] for result in evidence["results"]}
    assert len(claims) >= 30
    assert any("stand-in" in json.dumps(r) for r in evidence["results"] if r["host"] == "h3")


def test_two_builds_of_one_lock_have_the_same_digest(site: Site, commands: Commands, tmp_path: Path) -> None:
    again = tmp_path / "bundle"
    commands.ok(
        "sealift", "build", site.lock, "--sources", site.sources, "--out", again, "--key", site.release_key
    )
    assert (again / "index.json").read_bytes() == (site.bundle / "index.json").read_bytes()
    assert sorted(blob.name for blob in (again / "blobs/sha256").iterdir()) == sorted(
        blob.name for blob in (site.bundle / "blobs/sha256").iterdir()
    )


def test_the_lock_names_no_mirror(site: Site) -> None:
    assert "://" not in "".join(
        package["path"] + package["source"] for package in json.loads(site.lock.read_text())["packages"]
    )


def test_skopeo_lists_and_copies_an_image_of_the_bundle(
    site: Site, commands: Commands, tmp_path: Path
) -> None:
    image = json.loads(site.lock.read_text())["images"]["ollama"]
    inspected = json.loads(commands.ok("skopeo", "inspect", f"oci:{site.bundle}:{image['name']}").out)
    assert inspected["Layers"] == [layer["digest"] for layer in image["layers"]]
    copied = tmp_path / "copied"
    commands.ok("skopeo", "copy", "-q", f"oci:{site.bundle}:{image['name']}", f"dir:{copied}")
    assert (copied / image["config"]["digest"].removeprefix("sha256:")).exists()


def test_ssh_keygen_verifies_the_signature_by_hand_as_the_readme_shows(site: Site) -> None:
    command = ["ssh-keygen", "-Y", "verify", "-n", "sealift", "-I", "release@lab"]
    command += ["-f", str(site.allowed_signers), "-s", str(site.bundle / "index.json.sig")]
    readme = " ".join((Path(__file__).parents[2] / "README.md").read_text().split())
    assert "ssh-keygen -Y verify -n sealift -I release@lab" in readme
    index = (site.bundle / "index.json").read_bytes()
    good = subprocess.run(command, input=index, capture_output=True, check=False)
    assert good.returncode == 0, good.stderr
    bad = subprocess.run(command, input=index + b" ", capture_output=True, check=False)
    assert bad.returncode != 0


def test_a_second_apply_changes_nothing(site: Site, commands: Commands) -> None:
    assert commands.changed_operations() == {host: [] for host in HOSTS}


def test_a_second_import_and_a_second_ship_move_nothing(site: Site, commands: Commands) -> None:
    imported = commands.ok(
        "sealift", "import", site.bundle, "--depot", site.depot, "--allowed-signers", site.allowed_signers
    )
    assert "already" in imported.said
    shipped = json.loads(commands.ok("sealift", "ship", "lab", "--json").out)
    assert {done["bytes"] for done in shipped.values()} == {0}


def test_the_release_came_by_a_chain(site: Site, commands: Commands) -> None:
    """Every host had a part in it, and nothing of that is left but the journal's word."""
    for host in HOSTS:
        assert "sealift passes a release on" in commands.on(host, "journalctl --quiet --unit sealift-chain")
        assert commands.on(host, "ls -A /run/sealift-chain 2>&1; ss -Hltn sport = :4711").splitlines() == [
            "ls: cannot access '/run/sealift-chain': No such file or directory"
        ]


def test_status_tells_what_stands_where(site: Site, commands: Commands) -> None:
    status = json.loads(commands.ok("sealift", "status", "lab", "--json").out)
    assert {host["host"]: host["standing"]["bundle"] for host in status} == dict.fromkeys(
        HOSTS, site.bundle_digest
    )
    assert [host["differs"] for host in status] == [[], [], []]


def test_a_strict_host_gets_the_same_modes(site: Site, commands: Commands) -> None:
    """A umask of 077, a /tmp where nothing runs, an old locale: verified and as all the others."""
    umask, *mounted, locale = commands.on("h1", "umask; findmnt -n -o OPTIONS /tmp; echo $LC_ALL").split()
    assert (umask, locale) == ("0077", "de_DE.ISO-8859-1")
    assert "noexec" in mounted[-1]
    seen = "find /var/lib/sealift -path '*/generations/*' -prune -o ! -type l -printf '%m %U:%G %y %p\\n'"
    h1, h2 = (
        {
            path: access
            for access, _, path in (line.rpartition(" ") for line in commands.on(host, seen).splitlines())
        }
        for host in ("h1", "h2")
    )
    both = h1.keys() & h2.keys()
    assert len(both) > 30
    assert {path: h1[path] for path in both} == {path: h2[path] for path in both}


def test_peak_memory_of_every_step_stays_under_200_mb(
    site: Site, commands: Commands, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    take = ("--allowed-signers", site.allowed_signers)
    read = ("media", "read", site.lab / "media", "--out", tmp_path / "read", *take)
    imported = ("import", tmp_path / "read", "--depot", tmp_path / "depot", *take)
    steps = {
        **site.steps,
        "read": commands.ok("sealift", *read),
        "import": commands.ok("sealift", *imported),
    }
    for step, ran in steps.items():
        record_property(step, f"{ran.seconds:.1f} s, {ran.peak_memory / 1e6:.0f} MB")
    assert {step: ran.peak_memory for step, ran in steps.items() if ran.peak_memory > MEMORY} == {}
    for host in HOSTS:
        peak = commands.on(host, "grep VmHWM /proc/$(pidof dockerd)/status").split()
        record_property(f"dockerd of {host}", f"{int(peak[1]) / 1000:.0f} MB")
        assert int(peak[1]) * 1024 < MEMORY
