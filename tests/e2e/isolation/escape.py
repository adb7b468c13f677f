"""A job that tries to get out of its container, and says of each attempt what it got.

It runs in the container, on its own: one JSON object a line, ``{"attempt": …,
"got": …}``, ``got`` being null for what led nowhere. It sends nothing to any
address but those in ``targets.json``, which listen for this test.
"""

import ctypes
import json
import os
import socket
import stat
import struct
import time
from contextlib import suppress

ATTEMPTS = {}
_libc = ctypes.CDLL(None, use_errno=True)
_SYS = {
    "x86_64": {"mount": 165, "unshare": 272, "setns": 308, "bpf": 321, "open_by_handle_at": 304,
               "kexec_load": 246, "init_module": 175, "perf_event_open": 298, "keyctl": 250,
               "userfaultfd": 323, "io_uring_setup": 425, "reboot": 169, "settimeofday": 164,
               "ptrace": 101, "pivot_root": 155, "swapon": 167},
    "aarch64": {"mount": 40, "unshare": 97, "setns": 268, "bpf": 280, "open_by_handle_at": 265,
                "kexec_load": 104, "init_module": 105, "perf_event_open": 241, "keyctl": 219,
                "userfaultfd": 282, "io_uring_setup": 425, "reboot": 142, "settimeofday": 170,
                "ptrace": 117, "pivot_root": 41, "swapon": 224},
}[os.uname().machine]  # fmt: skip
_INIT = ("/sbin/docker-init", "/usr/sbin/docker-init")
_CLONE_NEWUSER, _CLONE_NEWNS, _CLONE_NEWNET = 0x10000000, 0x20000, 0x40000000


def attempt(function):
    ATTEMPTS[function.__name__] = function
    return function


def syscall(name, *arguments):
    """Return what the kernel gives, or None if it refuses."""
    result = _libc.syscall(_SYS[name], *arguments)
    return None if result < 0 else f"{name} gave {result}"


def in_child(call):
    """Return what ``call`` gives in a process of its own, which may lose its place by it."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if not pid:
        with suppress(BaseException):
            theirs.sendall(json.dumps(call()).encode())
        os._exit(0)
    theirs.close()
    os.waitpid(pid, 0)
    answer = ours.recv(65536)
    return json.loads(answer) if answer else None


def status():
    lines = open("/proc/self/status").read().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


@attempt
def capabilities():
    sets = {name: status()[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    return {name: value for name, value in sets.items() if int(value, 16)} or None


@attempt
def new_privileges():
    return None if status()["NoNewPrivs"] == "1" else "a setuid program could give more rights"


@attempt
def no_seccomp():
    return None if status()["Seccomp"] == "2" else "no filter of system calls"


@attempt
def other_user():
    return in_child(lambda: os.setuid(12345) or "became another user")


@attempt
def own_a_file():
    open("/tmp/mine", "w").close()
    return os.chown("/tmp/mine", 12345, 12345) or "gave a file away"


@attempt
def mount_tmpfs():
    os.makedirs("/tmp/mounted", exist_ok=True)
    return in_child(lambda: syscall("mount", b"none", b"/tmp/mounted", b"tmpfs", 0, None))


@attempt
def mount_proc():
    os.makedirs("/tmp/mounted", exist_ok=True)
    return in_child(lambda: syscall("mount", b"proc", b"/tmp/mounted", b"proc", 0, None))


@attempt
def bind_the_root_elsewhere():
    return in_child(lambda: syscall("mount", b"/", b"/tmp/mounted", None, 0x1000 | 0x4000, None))


@attempt
def new_user_namespace():
    return in_child(lambda: syscall("unshare", _CLONE_NEWUSER))


@attempt
def new_mount_namespace():
    return in_child(lambda: syscall("unshare", _CLONE_NEWNS))


@attempt
def new_network_namespace():
    return in_child(lambda: syscall("unshare", _CLONE_NEWNET))


@attempt
def namespace_of_the_first_process():
    def enter():
        with open("/proc/1/ns/mnt") as there:
            return syscall("setns", there.fileno(), 0)

    return in_child(enter)


@attempt
def load_a_program_into_the_kernel():
    return syscall("bpf", 5, ctypes.create_string_buffer(128), 128)


@attempt
def load_a_module():
    return syscall("init_module", ctypes.create_string_buffer(64), 64, b"")


@attempt
def load_another_kernel():
    return syscall("kexec_load", 0, 0, None, 0)


@attempt
def watch_the_kernel():
    event = ctypes.create_string_buffer(struct.pack("IIQ", 1, 112, 0) + bytes(96))
    return syscall("perf_event_open", event, -1, 0, -1, 0)


@attempt
def open_a_file_by_its_handle():
    handle = ctypes.create_string_buffer(struct.pack("Ii", 8, 1) + struct.pack("Q", 2))
    with open("/etc/hosts") as there:  # a bind mount from the host: its file system is the host's
        return syscall("open_by_handle_at", there.fileno(), handle, 0)


@attempt
def keys_of_the_kernel():
    return syscall("keyctl", 0, -3, 1)


@attempt
def handle_faults_of_the_kernel():
    return syscall("userfaultfd", 0)


@attempt
def set_the_clock():
    return in_child(lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()) or "set it")


@attempt
def restart_the_machine():
    # The command that only switches Ctrl-Alt-Del off, which needs the same right.
    return syscall("reboot", 0xFEE1DEAD, 672274793, 0, None)


@attempt
def name_the_machine():
    return in_child(lambda: socket.sethostname("escaped") or "renamed it")


@attempt
def raise_own_limits():
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    return resource.setrlimit(resource.RLIMIT_CORE, (soft, hard + 1)) or "raised it"


@attempt
def be_more_important():
    return os.nice(-5)


@attempt
def make_a_device():
    return os.mknod("/tmp/disk", stat.S_IFBLK | 0o600, os.makedev(8, 0)) or "made one"


@attempt
def devices_of_the_machine():
    safe = {"core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr",
            "stdin", "stdout", "tty", "urandom", "zero", "console"}  # fmt: skip
    return sorted(set(os.listdir("/dev")) - safe) or None


@attempt
def memory_of_the_kernel():
    for name in ("/proc/kcore", "/proc/kmem", "/dev/mem", "/dev/kmsg"):
        with suppress(OSError), open(name, "rb") as there:
            if there.read(1):
                return name
    return None


@attempt
def settings_of_the_kernel():
    written = []
    for name in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname",
                 "/proc/sysrq-trigger", "/proc/sys/vm/overcommit_memory",
                 "/sys/kernel/uevent_helper", "/sys/fs/cgroup/release_agent"):  # fmt: skip
        with suppress(OSError), open(name, "r+b"):
            written.append(name)
    return written or None


@attempt
def change_own_limits():
    changed = []
    for folder, _, files in os.walk("/sys/fs/cgroup"):
        for name in files:
            if name in {"memory.max", "pids.max", "cgroup.procs", "memory.limit_in_bytes"}:
                with suppress(OSError), open(os.path.join(folder, name), "r+b"):
                    changed.append(os.path.join(folder, name))
    return changed or None


@attempt
def files_of_the_host():
    ours = {"/etc/resolv.conf", "/etc/hostname", "/etc/hosts"}
    kernel = {"proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "overlay"}
    found = []
    for line in open("/proc/self/mountinfo"):
        before, after = line.split(" - ")
        place, kind = before.split()[4], after.split()[0]
        init = place in _INIT
        if place not in ours and kind not in kernel and not init:
            found.append((place, kind))
    return found or None


@attempt
def write_files_of_the_host():
    # The engine made these from the host; what is written must not be more than the container's.
    written = []
    for name in _INIT:
        with suppress(OSError), open(name, "r+b"):
            written.append(name)
    return written or None


@attempt
def socket_of_the_engine():
    names = ("docker.sock", "containerd/containerd.sock", "docker/containerd/containerd.sock",
             "podman/podman.sock", "crio/crio.sock")  # fmt: skip
    return [n for d in ("/run", "/var/run") for n in names if os.path.exists(f"{d}/{n}")] or None


@attempt
def processes_of_others():
    known = {"docker-init", "tini", "sh", "bash", "dash", "python", "python3", "tar"}
    names = set()
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            names.add(open(f"/proc/{pid}/comm").read().strip())
    return sorted(n for n in names if not n.startswith("python") and n not in known) or None


@attempt
def the_host_by_network():
    return reached("host")


@attempt
def a_link_local_address():
    return reached("link_local")


@attempt
def another_job():
    return reached("neighbour")


def reached(kind):
    found = []
    with open("targets.json") as file:
        targets = json.load(file)
    for target in targets[kind]:
        address, port = target
        with suppress(OSError), socket.create_connection((address, port), 1.0) as there:
            there.sendall(b"from the job")
            found.append([*target, "tcp"])
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
            there.settimeout(0.3)
            there.sendto(b"from the job", (address, port))
            if there.recv(100):
                found.append([*target, "udp"])
    return found or None


if __name__ == "__main__":
    for name, function in ATTEMPTS.items():
        try:
            got = function()
        except (OSError, ValueError):
            got = None
        print(json.dumps({"attempt": name, "got": got}), flush=True)
