import sys

from bench.cli import main
from bench.peers import cli as peers

if sys.argv[1:2] == ["peers"]:
    sys.exit(peers.main(sys.argv[2:]))
sys.exit(main())
