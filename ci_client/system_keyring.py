"""The operating system's keyring, by the library ``keyring``, where there is one to use."""

from ci_common.errors import ConfigurationError

_SERVICE = "standby-ci"


def is_usable() -> bool:
    """Return whether the library is installed, and has found a keyring that keeps things."""
    try:
        import keyring
        from keyring.backends import fail, null
    except ImportError:
        return False
    return not isinstance(keyring.get_keyring(), fail.Keyring | null.Keyring)


def get(origin: str) -> str:
    """Return the key of a server.

    Raises:
        ConfigurationError: it is not there, or cannot be read.

    """
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError as error:
        raise _unreadable(origin, "the library `keyring` is not installed any more") from error
    try:
        key = keyring.get_password(_SERVICE, origin)
    except KeyringError as error:
        raise _unreadable(origin, str(error) or type(error).__name__) from error
    if key is None:
        raise _unreadable(origin, "it is not there any more")
    return key


def put(origin: str, key: str) -> bool:
    """Keep the key of a server; return whether the keyring has taken it."""
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.set_password(_SERVICE, origin, key)
    except KeyringError:
        return False
    return True


def remove(origin: str) -> None:
    """Forget the key of a server, if the keyring has one and can be reached."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return
    try:
        keyring.delete_password(_SERVICE, origin)
    except KeyringError:
        return


def _unreadable(origin: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"the keyring does not give the key of {origin}: {why}",
        hint=f"Sign in again: ci login --server {origin}; with --no-keyring it is kept in a file.",
    )
