"""``python -m ci_client``, for where the script ``ci`` is not on the path."""

from ci_client.cli import main

if __name__ == "__main__":
    main()
