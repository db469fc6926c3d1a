# Two commands do all the set-up on a fresh Debian or Ubuntu machine: `make demo` and `make test`.

GO        := scripts/go
export CGO_ENABLED := 0
BIN       := bin/neutrino
SOURCES   := $(shell find . -name '*.go' -not -path './bin/*') go.mod go.sum $(shell find migrations policy api -name '*.sql' -o -name '*.json' 2>/dev/null)
# Packages whose tests start whole clouds; they come last, one at a time.
SCENARIOS := ./scenario/...
# Those of them that say most about a server and its database.
RING      := ^TestStories$$/(ring|restart)$$

# Runs tests like `go test`; what failed stands once more at the end. A few that fail (a part and the test that holds it are
# two) run once more, alone, and that counts; the log has both. A data race is never tried again.
TEST      := bin/gotestsum --hide-summary skipped --format pkgname --rerun-fails=1 --rerun-fails-max-failures=6 \
	--rerun-fails-abort-on-data-race --raw-command -- $(GO) test -json
# The same, with a line for every test.
TELL      := $(subst pkgname,testname,$(TEST))

.PHONY: help build deb demo lab test test-databases race scenarios check bench fuzz soak clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | sort

build: $(BIN) ## build bin/neutrino

$(BIN): $(SOURCES)
	$(GO) build -trimpath -o $(BIN) ./cmd/neutrino

DRIVER := openvswitch

demo: install-$(if $(filter ovn,$(DRIVER)),ovn,run) build ## raise a cloud network in a box, prove it with pings, take it down (DRIVER=ovn: with OVN)
	$(BIN) demo --driver $(DRIVER)

lab: install-run build ## the same, and leave it running
	$(BIN) demo --keep

test: install-test build check bin/gotestsum ## install what is needed, run everything
	$(TEST) -timeout 30m $$($(GO) list ./... | grep -v /scenario)
	$(MAKE) test-databases
	$(TELL) -count=1 -timeout 40m $(SCENARIOS)

test-databases: install-test bin/gotestsum ## the store, the door, all services and the ring on PostgreSQL and on MariaDB (the other tests run on SQLite)
	NEUTRINO_TEST_DATABASE=postgresql $(TEST) -timeout 30m ./store/... ./migrations ./api ./server
	NEUTRINO_TEST_DATABASE=postgresql $(TEST) -count=1 -run '$(RING)' $(SCENARIOS)
	NEUTRINO_TEST_DATABASE=mariadb $(TEST) -timeout 30m ./store/... ./migrations ./api ./server
	NEUTRINO_TEST_DATABASE=mariadb $(TEST) -count=1 -run '$(RING)' $(SCENARIOS)

race: bin/gotestsum ## unit tests with the race detector, the long ones shortened (needs a C compiler)
	CGO_ENABLED=1 $(TEST) -race -short -timeout 30m $$($(GO) list ./... | grep -v /scenario)

scenarios: install-test build bin/gotestsum ## only the whole-system stories
	$(TELL) -count=1 -timeout 40m $(SCENARIOS)

check: bin/staticcheck ## formatting, vet, staticcheck, the house's import directions
	@unformatted=$$($$($(GO) env GOROOT)/bin/gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
		test -z "$$unformatted" || { echo "gofmt: $$unformatted"; exit 1; }
	$(GO) vet ./...
	bin/staticcheck ./...
	$(GO) test -count=1 ./house

# They are built anew with another Go, too: an older one's staticcheck does not read newer code.
bin/staticcheck: go.mod tools/go.mod
	$(GO) -C tools build -o ../$@ honnef.co/go/tools/cmd/staticcheck
bin/gotestsum: go.mod tools/go.mod
	$(GO) -C tools build -o ../$@ gotest.tools/gotestsum

deb: build ## a Debian package in bin/
	scripts/deb bin

bench: install-test ## measure: Go benchmarks, a small load on a server; what the journal and many ports at once cost on each database; a full host and the data path in labs
	@scripts/install bench
	$(GO) test -run '^$$' -bench . -benchmem ./server/... ./api/... ./hub/... ./policy/... ./dataplane/... ./agent/... ./northbound/...
	for database in sqlite postgresql mariadb; do \
		NEUTRINO_TEST_DATABASE=$$database $(GO) test -run '^$$' -bench '^Benchmark(Writers|ParallelPorts|ListPorts)$$' ./store ./server || exit 1; done
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 60m -v ./scenario

fuzz: ## run every fuzz target for FUZZTIME (60s), one after another; PATTERN chooses some
	@scripts/fuzz $(PATTERN)

soak: ## a million random requests to the door: no 500, no leak, no growth; 2,000 random topologies on both drivers (an hour)
	NEUTRINO_SEED=0 NEUTRINO_SOAK=1000000 NEUTRINO_CONTRACT=1000 $(GO) test -count=1 -timeout 4h -run '^Test(RandomRequests|Contract)$$' -v ./server
	NEUTRINO_SEED=0 NEUTRINO_TOPOLOGIES=2000 $(GO) test -count=1 -timeout 4h -run TestDifferential -v ./scenario

clean: ## remove what was built
	rm -rf bin

.PHONY: install-run install-test install-ovn
install-run:
	@scripts/install run
install-ovn:
	@scripts/install ovn
install-test:
	@scripts/install test

.PHONY: conformance
conformance: build ## Tempest's API tests against a server with simulated hosts (about two minutes)
	@scripts/install conformance
	$(GO) run ./conformance $(ARGS)
