"""What a command keeps of root's power: the one right that it was judged to need, for its own files."""

import os
import tempfile
from pathlib import Path

import pytest
from hostile_world import SECRET, UNPRIVILEGED

REFUSED = {"refused EPERM", "refused EACCES"}
READER = {"capabilities": ["dac_read_search"]}
SEES_ALL = [READER, {"keeps_user": True}, {"keeps_user": True, "capabilities": ["dac_override", "chown"]}]
#: All that anybody opens below /etc whom no file mode stops: nothing of it is ever a secret.
PUBLIC = {
    *("ld.so.cache", "ld.so.preload", "ld.so.conf", "passwd", "group", "nsswitch.conf", "host.conf", "hosts"),
    *("resolv.conf", "gai.conf", "services", "protocols", "localtime", "timezone", "os-release"),
    *("locale.alias", "mime.types", "ssl/openssl.cnf", "ssl/cert.pem", "pki/tls/openssl.cnf"),
    "pki/tls/cert.pem",
}


@pytest.fixture
def log():
    """A log that only its owner may read, in a folder that only its owner may enter."""
    with tempfile.TemporaryDirectory(prefix="log-", dir="/tmp") as name:
        file = Path(name) / "only-root.log"
        file.write_text(SECRET)
        file.chmod(0o600)
        yield file


@pytest.fixture
def root(user):
    if user is not None or os.geteuid() != 0:
        pytest.skip("only root has a power to give up")


def everything_in(folder):
    return [str(path) for path in sorted(Path(folder).rglob("*")) if not path.is_dir()][:5000]


def capabilities(agent, **access):
    """(uid, effective, permitted, bounding) of a program in the sandbox."""
    status = agent.run(pipeline=[["cat", "/proc/self/status"]], access=access)["stdout"]
    fields = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
    sets = (int(fields[name], 16) for name in ("CapEff", "CapPrm", "CapBnd"))
    return fields["Uid"].split()[0] == "0", *sets


def test_a_log_of_root_is_read_by_an_unused_user_with_one_right(root, agent, log):
    access = {"reads": [str(log)], **READER}
    assert agent.run(pipeline=[["cat", str(log)]], access=access)["stdout"] == SECRET
    assert capabilities(agent, **access) == (False, 1 << 2, 1 << 2, 1 << 2)


def test_without_that_right_it_is_not_read(root, agent, log):
    assert agent.tries("read", log, access={"reads": [str(log)]}) in REFUSED


def test_the_right_to_read_is_none_to_change(root, agent, log):
    for what in ("write", "truncate", "chmod", "remove"):
        assert agent.tries(what, log, access={"reads": [str(log)], **READER}) in REFUSED
    assert log.read_text() == SECRET


def test_a_file_beside_it_stays_closed(root, agent, log):
    beside = log.with_name("beside")
    beside.write_text(SECRET)
    assert agent.tries("read", beside, access={"reads": [str(log)], **READER}) in REFUSED


@pytest.mark.parametrize("access", SEES_ALL)
def test_of_etc_only_a_closed_list_of_files_is_opened(agent, access):
    there = everything_in("/etc")
    opened = agent.run("opens", *there, access=access)["stdout"].splitlines()
    public = {Path("/etc", name).resolve() for name in PUBLIC}
    # A link to somewhere else leads to programs and their data, or to nothing that opens.
    own = [path for path in opened if path in there and Path(path).resolve().is_relative_to("/etc")]
    assert [path for path in own if Path(path).resolve() not in public] == []
    assert "/etc/passwd" in own


@pytest.mark.parametrize("access", SEES_ALL)
@pytest.mark.parametrize(
    "secret",
    [
        "/etc/shadow",
        "/etc/gshadow",
        "/etc/sudoers",
        "/etc/ssl/private",
        "/etc/ssh",
        "/etc/kubernetes",
        "/root",
    ],
)
def test_what_only_root_may_see_stays_closed_to_whom_no_mode_stops(agent, access, secret):
    if not Path(secret).exists():
        pytest.skip(f"there is no {secret} here")
    what = "list" if Path(secret).is_dir() else "read"
    assert agent.tries(what, secret, access=access) in REFUSED


@pytest.mark.parametrize("access", SEES_ALL)
def test_what_the_owner_of_a_machine_put_beside_its_programs_stays_closed(agent, access):
    for folder in ("/usr/local/etc", "/usr/src", "/usr/local/src", "/usr/etc", "/opt", "/srv"):
        assert agent.tries("opens", folder, *everything_in(folder)[:100], access=access) == "worked"


@pytest.mark.parametrize("access", SEES_ALL)
def test_no_environment_of_another_process_is_read(agent, access):
    access = {**access, "reads": ["/proc"]}
    for pid in (1, agent.pid, agent.launcher(), os.getpid()):
        assert agent.tries("read", f"/proc/{pid}/environ", access=access) in REFUSED


def test_a_folder_to_look_into_shows_names_and_no_content(root, agent, log):
    access = {"lists": [str(log.parent)], **READER}
    assert agent.tries("list", log.parent, access=access) == "worked"
    assert agent.run(pipeline=[["ls", str(log.parent)]], access=access)["stdout"] == "only-root.log\n"
    assert agent.tries("read", log, access=access) in REFUSED


def test_a_file_to_look_at_is_seen_and_not_opened(root, agent, log):
    access = {"lists": [str(log)], **READER}
    assert agent.run(pipeline=[["ls", "-l", str(log)]], access=access)["exit_code"] == 0
    assert agent.tries("read", log, access=access) in REFUSED


def test_the_agents_user_keeps_no_power_that_was_not_named(root, agent):
    assert capabilities(agent, keeps_user=True) == (True, 0, 0, 0)
    named = {"capabilities": ["chown", "dac_override", "fowner"]}
    assert capabilities(agent, keeps_user=True, **named) == (True, 0b1011, 0b1011, 0b1011)
    assert agent.run(pipeline=[["whoami"]], access={"keeps_user": True})["stdout"] == "root\n"


def test_root_without_its_power_changes_no_owner_and_no_mode(root, agent, log):
    for access in ({"keeps_user": True}, {"keeps_user": True, "reads": [str(log)]}):
        assert agent.tries("chmod", log, access=access) in REFUSED
        assert agent.tries("chown", log, access=access) in REFUSED
    assert log.stat().st_mode & 0o777 == 0o600


def test_an_agent_without_the_right_gives_none(user, agent, log):
    if user is None:
        pytest.skip("root has it")
    assert capabilities(agent, **READER)[:3] == (False, 0, 0)
    assert agent.tries("read", log, access={"reads": [str(log)], **READER}) in REFUSED


@pytest.mark.parametrize("keeps_user", [True, False])
def test_what_works_alone_starts_threads_and_no_process(agent, keeps_user):
    access = {"keeps_user": keeps_user, "alone": True}
    assert agent.tries("thread", access=access) == "a thread\nworked"
    assert agent.tries("fork", access=access) == "refused EPERM"
    assert agent.tries("spawn", access=access) == "refused EPERM"
    assert agent.tries("spawn", access={"keeps_user": keeps_user}) == "worked"


class Links:
    """A folder of logs that an ordinary user may write to, and a secret of root."""

    def __init__(self, folder):
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.secret = folder / "secret"
        self.secret.write_text(SECRET)
        self.secret.chmod(0o600)
        self.own = self.logs / "app-1.log"
        self.own.write_text("a line")
        self.own.chmod(0o600)
        os.chown(self.own, UNPRIVILEGED, UNPRIVILEGED)

    def link(self, target, *, owner, name="app.log"):
        link = self.logs / name
        link.symlink_to(target)
        os.chown(link, owner, owner, follow_symlinks=False)
        return link


@pytest.fixture
def links(root):
    with tempfile.TemporaryDirectory(prefix="links-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Links(Path(name))


def test_somebodys_link_among_the_logs_does_not_lead_to_a_file_of_root(agent, links):
    log = links.link(links.secret, owner=UNPRIVILEGED)
    for access in ({"reads": [str(log)], **READER}, {"reads": [str(log)], "keeps_user": True}):
        assert agent.tries("read", log, access=access) in REFUSED
    folder = links.link(links.secret.parent, owner=UNPRIVILEGED, name="folder")
    through = folder / "secret"
    assert agent.tries("read", through, access={"reads": [str(through)], **READER}) in REFUSED


def test_a_link_to_a_link_of_root_is_still_somebodys_link(agent, links):
    links.link(links.secret, owner=0, name="of-root")
    log = links.link("of-root", owner=UNPRIVILEGED)
    assert agent.tries("read", log, access={"reads": [str(log)], **READER}) in REFUSED


def test_links_of_root_and_to_ones_own_files_are_followed(agent, links):
    of_root = links.link(links.secret, owner=0)
    newest = links.link("app-1.log", owner=UNPRIVILEGED, name="newest.log")
    for log, content in ((of_root, SECRET), (newest, "a line")):
        access = {"reads": [str(log)], **READER}
        assert agent.run(pipeline=[["cat", str(log)]], access=access)["stdout"] == content


def test_links_in_a_circle_lead_nowhere(agent, links):
    links.link("b", owner=0, name="a")
    links.link("a", owner=0, name="b")
    access = {"reads": [str(links.logs / "a")], **READER}
    assert agent.tries("read", links.logs / "a", access=access) == "refused ELOOP"
