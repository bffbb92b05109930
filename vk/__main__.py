"""`python -m vk` is the command `vk`."""

from vk.cli.main import main

if __name__ == "__main__":
    main()
