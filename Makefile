# Two commands do all the set-up on a fresh Debian or Ubuntu machine: `make demo` and `make test`.

GO        := scripts/go
export CGO_ENABLED := 0
BIN       := bin/neutrino
SOURCES   := $(shell find . -name '*.go' -not -path './bin/*') go.mod go.sum $(shell find migrations policy api -name '*.sql' -o -name '*.json' 2>/dev/null)
# Packages whose tests start whole clouds; they come last, one at a time.
SCENARIOS := ./scenario/...

.PHONY: help build demo lab test race scenarios check bench fuzz clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | sort

build: $(BIN) ## build bin/neutrino

$(BIN): $(SOURCES)
	$(GO) build -trimpath -o $(BIN) ./cmd/neutrino

demo: install-run build ## raise a cloud network in a box, prove it with pings, take it down
	$(BIN) demo

lab: install-run build ## the same, and leave it running
	$(BIN) demo --keep

test: install-test build check ## install what is needed, run everything
	$(GO) test $$($(GO) list ./... | grep -v /scenario)
	$(GO) test -count=1 -timeout 40m -v $(SCENARIOS)

race: ## unit tests with the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race $$($(GO) list ./... | grep -v /scenario)

scenarios: install-test build ## only the whole-system stories
	$(GO) test -count=1 -timeout 40m -v $(SCENARIOS)

check: ## formatting, vet, staticcheck, the house's import directions
	@unformatted=$$($$($(GO) env GOROOT)/bin/gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
		test -z "$$unformatted" || { echo "gofmt: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) -C tools build -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	bin/staticcheck ./...
	$(GO) test -count=1 ./house

bench: ## measure: Go benchmarks, then a small load on a server with SQLite
	$(GO) test -run '^$$' -bench . -benchmem ./server/... ./api/... ./hub/... ./policy/... ./dataplane/... ./agent/...

clean: ## remove what was built
	rm -rf bin

.PHONY: install-run install-test
install-run:
	@scripts/install run
install-test:
	@scripts/install test
