"""`python -m scripts.train`."""

from .cli import main

if __name__ == "__main__":
    main()
