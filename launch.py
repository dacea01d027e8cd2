"""Run one active-learning experiment, or with -m a sweep of them: `hetal` without being installed; see README.md."""

from hetal.app.command import main

if __name__ == "__main__":
    main()
