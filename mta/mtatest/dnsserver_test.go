package mtatest_test

import (
	"strings"
	"testing"
	"time"

	"esa/mta/mtatest"

	mdns "github.com/miekg/dns"
)

// ask uses the client of the library, so that server and resolver of ours do
// not only agree with each other.
func ask(t *testing.T, s *mtatest.DNSServer, network, what string) *mdns.Msg {
	t.Helper()
	name, qtype, _ := strings.Cut(what, " ")
	m := new(mdns.Msg)
	m.SetQuestion(name, mdns.StringToType[qtype])
	c := mdns.Client{Net: network, Timeout: time.Minute}
	answer, _, err := c.Exchange(m, s.Addr().String())
	if err != nil {
		t.Fatalf("asking %s over %s: %v", what, network, err)
	}
	return answer
}

func TestDNSServer(t *testing.T) {
	s := mtatest.NewDNSServer(t, `
example.test.     IN SOA ns. admin. 1 2 3 4 600
example.test.     IN MX 10 mx.example.test.
mx.example.test.  IN A 192.0.2.1
www.example.test. IN CNAME mx.example.test.
*.wild.example.test. IN A 192.0.2.2
a.deep.example.test. IN A 192.0.2.3
`)
	for _, tt := range []struct {
		name, qtype string
		rcode       int
		answers     int
	}{
		{"example.test.", "MX", mdns.RcodeSuccess, 1},
		{"EXAMPLE.test.", "MX", mdns.RcodeSuccess, 1},
		{"example.test.", "A", mdns.RcodeSuccess, 0},
		{"www.example.test.", "A", mdns.RcodeSuccess, 2},
		{"www.example.test.", "AAAA", mdns.RcodeSuccess, 1},
		{"any.wild.example.test.", "A", mdns.RcodeSuccess, 1},
		{"deep.example.test.", "A", mdns.RcodeSuccess, 0},
		{"none.example.test.", "A", mdns.RcodeNameError, 0},
	} {
		for _, network := range []string{"udp", "tcp"} {
			m := ask(t, s, network, tt.name+" "+tt.qtype)
			if m.Rcode != tt.rcode || len(m.Answer) != tt.answers {
				t.Errorf("%s %s over %s: %v", tt.name, tt.qtype, network, m)
			}
			if complete := tt.answers > 0 && tt.qtype != "AAAA"; !complete && len(m.Ns) != 1 {
				t.Errorf("%s %s over %s: no SOA", tt.name, tt.qtype, network)
			}
		}
	}
	if n := s.Asked("Example.TEST.", "MX"); n != 4 {
		t.Errorf("%d questions counted, want 4", n)
	}
}

func TestDNSServer_TruncatesOverUDP(t *testing.T) {
	s := mtatest.NewDNSServer(t, manyTexts())
	if m := ask(t, s, "udp", "many.test. TXT"); !m.Truncated {
		t.Error("a large answer is not truncated over UDP")
	}
	if m := ask(t, s, "tcp", "many.test. TXT"); m.Truncated || len(m.Answer) != 10 {
		t.Errorf("over TCP: %d records", len(m.Answer))
	}
}

func manyTexts() string {
	var b strings.Builder
	for i := range 10 {
		b.WriteString("many.test. IN TXT \"" + strings.Repeat(string(rune('a'+i)), 200) + "\"\n")
	}
	return b.String()
}

func TestDNSServer_Script(t *testing.T) {
	s := mtatest.NewDNSServer(t, "a.test. IN A 192.0.2.1")
	s.Script("a.test", "A", mtatest.ServFail, mtatest.Refused)
	for i, want := range []int{mdns.RcodeServerFailure, mdns.RcodeRefused, mdns.RcodeRefused} {
		if m := ask(t, s, "udp", "a.test. A"); m.Rcode != want {
			t.Errorf("question %d: response code %d, want %d", i, m.Rcode, want)
		}
	}
	s.Script("a.test", "A")
	if m := ask(t, s, "udp", "a.test. A"); m.Rcode != mdns.RcodeSuccess {
		t.Errorf("response code %d after the script was taken away", m.Rcode)
	}
}

func TestDNSServer_Filled(t *testing.T) {
	s := mtatest.NewDNSServer(t, "a.test. IN A 192.0.2.1")
	s.Script("a.test", "A", mtatest.Filled)
	conn, err := mdns.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.WriteMsg(new(mdns.Msg).SetQuestion("a.test.", mdns.TypeA)); err != nil {
		t.Fatal(err)
	}
	raw, err := conn.ReadMsgHeader(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := new(mdns.Msg).Unpack(raw); err != nil || len(raw) != 65535 {
		t.Errorf("%d bytes, want 65,535 that can be read: %v", len(raw), err)
	}
}
