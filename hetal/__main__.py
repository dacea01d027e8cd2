"""`python -m hetal`: the command `hetal`."""

from hetal.app.command import main

if __name__ == "__main__":
    main()
