# The targets a developer and CI share. `make run` and `make test` are all a
# newcomer needs.

GO          ?= go
DATA        ?= data
PREFIX      ?= /usr/local
STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 20s
BENCH       ?=
VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS     := -X main.build=$(VERSION)

.PHONY: all run build install test race check integration soak bench microbench fuzz docs clean

all: build

# run builds the gateway and starts it with a console in this terminal; its
# data directory is ./data.
run: build
	./esa --data $(DATA) run

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o esa ./cmd/esa

# install needs root: the binary, the account esa, the data directory and the
# systemd unit.
install: build
	install -D -m 0755 esa $(DESTDIR)$(PREFIX)/sbin/esa
	install -D -m 0644 cmd/esa/esa.service $(DESTDIR)/etc/systemd/system/esa.service
	test -n "$(DESTDIR)" || id esa >/dev/null 2>&1 || useradd --system --home-dir /var/lib/esa --shell /usr/sbin/nologin esa
	test -n "$(DESTDIR)" || install -d -m 0700 -o esa -g esa /var/lib/esa

test:
	$(GO) test -shuffle=on ./...

race:
	$(GO) test -race -shuffle=on -timeout 20m ./...

# check holds what no test of behaviour sees: format, vet, staticcheck, the
# import table, the size limits, and that generated text is up to date.
check:
	@out=$$(gofmt -l cmd shell commands store mta); test -z "$$out" || { echo "gofmt: $$out"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags integration,soak ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) test -run 'TestImportTable|TestSizeLimits|TestHomes|TestReadme' -count=1 ./cmd/esa

# integration drives real peers (Postfix, swaks, strace, …) on loopback; the
# Debian packages it needs are listed in .ci/run.
integration: build
	$(GO) test -tags integration -count=1 -timeout 60m -v ./cmd/esa

# soak is the integration run with the full counts.
soak: build
	$(GO) test -tags integration,soak -count=1 -timeout 4h -v ./cmd/esa

# bench measures the gateway against Postfix, and its handshakes against a bare Go
# server, and prints the README's tables; it needs root, Postfix and strace, and
# for DANE NSD, Unbound and the tools of BIND. BENCH='-rows growth -queued 1000000'
# and the like choose what is measured. microbench is the benchmarks in Go.
bench: build
	$(GO) run ./mta/mtatest/bench $(BENCH)

microbench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

# fuzz gives every fuzz target of every package FUZZTIME. Go before 1.27 at times
# reports the end of that time as a failure (golang/go issue 75804), but writes no
# failing input then.
fuzz:
	@set -e; said=$$(mktemp); trap 'rm -f "$$said"' EXIT; for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$pkg >"$$said" 2>&1 || \
				{ grep -q '^ *context deadline exceeded$$' "$$said" && ! grep -q 'Failing input' "$$said"; } || \
				{ cat "$$said"; exit 1; }; \
			grep '^fuzz: ' "$$said" | tail -n 1; \
		done; \
	done

# docs rewrites the parts of the README that are made from the command table.
docs:
	$(GO) test -run TestReadme -count=1 ./cmd/esa -update

clean:
	rm -f esa
