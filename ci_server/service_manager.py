"""What a service manager such as systemd is told: sd_notify(3), for `Type=notify`."""

import os
import socket
from contextlib import suppress


def tell_service_manager(state: str) -> None:
    """Send ``state`` (``READY=1``) to whoever started this process and wants to know.

    Does nothing where nobody does; what goes wrong is not the server's concern.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address.startswith("@"):  # of the abstract name space
        address = "\0" + address[1:]
    if not address:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.connect(address)
        manager.send(state.encode())
