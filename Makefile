# What takes longer than the tests; the rest is in CONTRIBUTING.md.
PYTHON ?= .venv/bin/python
SEED ?=
REPORT ?= chaos.json
CHAOS = $(PYTHON) -m tests.system.chaos --report $(REPORT) $(if $(SEED),--seed $(SEED))

MINUTES ?= 60

.PHONY: soak storm chaos failover tls supply fuzz api story console-soak

chaos:  ## three minutes: what CI runs; SEED=N makes a run again
	$(CHAOS) --nodes 3 --seconds 130 --crowd 60 --faults ci

storm:  ## five nodes killed every 0.1 to 1 s and brought back, for 30 s
	$(CHAOS) --nodes 5 --seconds 100 --crowd 60 --faults storm

soak:  ## an hour of everything, with a thousand clients that balance themselves
	$(CHAOS) --nodes 3 --seconds 3600 --crowd 1000 --faults all

story:  ## an incident from alert to mend, on three nodes; it is recorded
	NEXA_STORY=$(CURDIR)/screenshots/incident.cast $(PYTHON) -m pytest tests/system/test_story.py -q -n0 -m slow

console-soak:  ## MINUTES at the console of a node that works: does it grow, or leave anything
	$(PYTHON) bench/console_soak.py --minutes $(MINUTES)

tls:  ## sslyze looks at the port; in an environment of its own
	python3 -m venv .venv-sslyze
	.venv-sslyze/bin/pip install -q --require-hashes -r constraints-sslyze.txt
	NEXA_TEST_SSLYZE=.venv-sslyze/bin/python $(PYTHON) -m pytest tests/node/adapters/asgi/test_sslyze.py -q -n0

failover:  ## how long anybody waits when a node goes
	$(PYTHON) bench/failover.py

SUPPLY = .venv-supply/bin

$(SUPPLY)/bandit: constraints-supply.txt
	python3 -m venv .venv-supply
	$(SUPPLY)/pip install -q --require-hashes -r constraints-supply.txt
	touch $@

supply: $(SUPPLY)/bandit  ## bandit, zizmor, known faults of what we depend on, a bill of materials
	$(SUPPLY)/python .ci/supply.py --bin $(SUPPLY) --environment $(PYTHON) --write nexa.cdx.json

api:  ## schemathesis for long: 500 calls of each operation, with and without a token
	NEXA_TEST_EXAMPLES=500 $(PYTHON) -m pytest tests/security/test_rest_by_its_description.py -q -n auto --timeout 1800

fuzz:  ## ten minutes at the frame parser, then 20,000 inputs for each other parser
	$(PYTHON) -m tests.fuzz.frames --seconds 600
	NEXA_TEST_EXAMPLES=20000 $(PYTHON) -m pytest tests/security/test_parsers_survive.py -q -n auto --timeout 3600
