# What takes longer than the tests; the rest is in CONTRIBUTING.md.
PYTHON ?= .venv/bin/python
SEED ?=
REPORT ?= chaos.json
CHAOS = $(PYTHON) -m tests.system.chaos --report $(REPORT) $(if $(SEED),--seed $(SEED))

.PHONY: soak storm chaos failover

chaos:  ## three minutes: what CI runs; SEED=N makes a run again
	$(CHAOS) --nodes 3 --seconds 130 --crowd 60 --faults ci

storm:  ## five nodes killed every 0.1 to 1 s and brought back, for 30 s
	$(CHAOS) --nodes 5 --seconds 100 --crowd 60 --faults storm

soak:  ## an hour of everything, with a thousand clients that balance themselves
	$(CHAOS) --nodes 3 --seconds 3600 --crowd 1000 --faults all

failover:  ## how long anybody waits when a node goes
	$(PYTHON) bench/failover.py
