"""`python -m ikesim`: the same as the command `ikesim`."""

from ikesim.cli.main import main

main()
