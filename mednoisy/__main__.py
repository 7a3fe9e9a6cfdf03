"""`python -m mednoisy`."""

from mednoisy.cli import main

raise SystemExit(main())
