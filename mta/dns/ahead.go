package dns

import (
	"context"
	"runtime/debug"
	"sync"

	mdns "github.com/miekg/dns"
)

// ahead is the chain of trust, asked for while the answer that it is to prove
// is still on its way. Each question goes to the server whose turn is first;
// what does not come, or does not do, is asked for again in its turn.
type ahead struct {
	expected map[question]*expected
	asking   sync.WaitGroup
}

// expected is one answer that may come.
type expected struct {
	from candidate
	done chan struct{} // closed when the others are set
	m    *mdns.Msg
	err  error
}

// askAhead asks for the chain of trust of a question's name. The name servers of
// the Internet are not known beforehand; of configured ones each is.
func (l *run) askAhead(ctx context.Context, asked question) *ahead {
	a := &ahead{expected: make(map[question]*expected)}
	if l.st.roots != nil {
		return a
	}
	for _, wire := range l.proof.Ahead(mdns.Fqdn(asked.name), asked.qtype == mdns.TypeMX) {
		q := question{name: received(wire.Name), qtype: wire.Qtype}
		turns := l.st.servers.serving(q.name).turns(l.clock(), l.rand)
		if len(turns) == 0 || *l.asked >= l.most {
			break
		}
		*l.asked++
		e := &expected{from: turns[0], done: make(chan struct{})}
		a.expected[q] = e
		a.asking.Go(func() {
			defer close(e.done)
			defer func() {
				if p := recover(); p != nil {
					l.diag.Error("panic in a lookup", "name", q.name, "type", q.typeName(), "panic", p, "stack", string(debug.Stack()))
					e.err = errInternal
				}
			}()
			e.m, e.err = l.put(ctx, e.from, q)
		})
	}
	return a
}

// answer hands an expected answer to accept, and reports whether it did.
func (l *run) answer(ctx context.Context, q question, accept func(*mdns.Msg) error) bool {
	e := l.early.expected[q]
	if e == nil {
		return false
	}
	delete(l.early.expected, q)
	select {
	case <-e.done:
	case <-ctx.Done():
		return false
	}
	if e.err != nil {
		l.faulted(e.from, q, e.err)
		return false
	}
	l.zone = ""
	if sane(q, e.m) != nil || accept(e.m) != nil {
		return false
	}
	e.from.ended(true, l.clock())
	return true
}
