package mtatest

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	mdns "github.com/miekg/dns"
)

// DNSExchange is one question while it is answered.
type DNSExchange struct {
	Query *mdns.Msg
	From  netip.AddrPort
	TCP   bool

	server *DNSServer
	send   func([]byte)
	hangUp func() // nil over UDP
}

// Reply makes the honest reply, for acts to spoil.
func (x *DNSExchange) Reply() *mdns.Msg { return x.server.answer(x.Query) }

// Send packs a message and sends it, cut to what the question allows over UDP.
func (x *DNSExchange) Send(m *mdns.Msg) {
	size := mdns.MinMsgSize
	if opt := x.Query.IsEdns0(); opt != nil {
		size = max(size, int(opt.UDPSize()))
	}
	if x.TCP {
		size = mdns.MaxMsgSize
	}
	m.Truncate(size)
	raw, err := m.Pack()
	if err != nil {
		panic(fmt.Sprintf("packing a scripted answer: %v", err))
	}
	x.send(raw)
}

// SendRaw sends bytes as they are, with the id of the question put into them
// where there is room.
func (x *DNSExchange) SendRaw(raw []byte) {
	if len(raw) >= 2 {
		raw[0], raw[1] = byte(x.Query.Id>>8), byte(x.Query.Id)
	}
	x.send(raw)
}

// Act is what the server does with one question.
type Act func(x *DNSExchange)

// Honest answers as if there were no script.
func Honest(x *DNSExchange) { x.Send(x.Reply()) }

// NoAnswer does not answer.
func NoAnswer(x *DNSExchange) {
	if x.hangUp != nil {
		<-x.server.closed
	}
}

// HangUp closes a TCP connection without an answer; over UDP it is NoAnswer.
func HangUp(x *DNSExchange) {
	if x.hangUp != nil {
		x.hangUp()
	}
}

// Rcode answers with nothing but a response code.
func Rcode(code int) Act {
	return func(x *DNSExchange) {
		m := new(mdns.Msg)
		m.SetRcode(x.Query, code)
		x.Send(m)
	}
}

// ServFail, Refused and FormErr are the usual refusals.
func ServFail(x *DNSExchange) { Rcode(mdns.RcodeServerFailure)(x) }
func Refused(x *DNSExchange)  { Rcode(mdns.RcodeRefused)(x) }
func FormErr(x *DNSExchange)  { Rcode(mdns.RcodeFormatError)(x) }

// Then does several things for one question: a forgery and then the truth.
func Then(acts ...Act) Act {
	return func(x *DNSExchange) {
		for _, act := range acts {
			act(x)
		}
	}
}

// OverUDP and OverTCP choose by the protocol of the question.
func OverUDP(act Act) Act { return byProtocol(act, Honest) }
func OverTCP(act Act) Act { return byProtocol(Honest, act) }

func byProtocol(udp, tcp Act) Act {
	return func(x *DNSExchange) {
		if x.TCP {
			tcp(x)
		} else {
			udp(x)
		}
	}
}

// Changed sends the honest reply after change has spoilt it.
func Changed(change func(*mdns.Msg)) Act {
	return func(x *DNSExchange) {
		m := x.Reply()
		change(m)
		x.Send(m)
	}
}

// Stripped sends the honest reply without what DNSSEC needs, as many
// forwarders do.
func Stripped(x *DNSExchange) {
	Changed(func(m *mdns.Msg) {
		m.Answer, m.Ns = unsigned(m.Answer), unsigned(m.Ns)
	})(x)
}

// AliasOnly answers with the first record and its signature, and not with what
// the alias leads to.
func AliasOnly(x *DNSExchange) {
	Changed(func(m *mdns.Msg) { m.Answer, m.Ns = m.Answer[:min(2, len(m.Answer))], nil })(x)
}

func unsigned(section []mdns.RR) []mdns.RR {
	return slices.DeleteFunc(section, func(rr mdns.RR) bool {
		switch rr.Header().Rrtype {
		case mdns.TypeRRSIG, mdns.TypeNSEC, mdns.TypeNSEC3:
			return true
		}
		return false
	})
}

// ForgedAddr is the address that forged answers hold. Whoever believes it has
// been fooled.
var ForgedAddr = netip.MustParseAddr("203.0.113.66")

// Forged sends an answer that holds ForgedAddr, after change has made it what
// the client must not believe. A nil change makes it believable.
func Forged(change func(*mdns.Msg)) Act {
	return Changed(func(m *mdns.Msg) {
		asked := m.Question[0]
		m.Rcode = mdns.RcodeSuccess
		m.Ns = nil
		m.Answer = []mdns.RR{&mdns.A{
			Hdr: mdns.RR_Header{Name: asked.Name, Rrtype: mdns.TypeA, Class: mdns.ClassINET, Ttl: 86400},
			A:   net.IP(ForgedAddr.AsSlice()),
		}}
		if change != nil {
			change(m)
		}
	})
}

// What Forged can be given.
func WrongID(m *mdns.Msg)    { m.Id ^= 0x5555 }
func WrongName(m *mdns.Msg)  { m.Question[0].Name = "www.evil.test." }
func WrongType(m *mdns.Msg)  { m.Question[0].Qtype = mdns.TypeTXT }
func WrongClass(m *mdns.Msg) { m.Question[0].Qclass = mdns.ClassCHAOS }
func NoQuestion(m *mdns.Msg) { m.Question = nil }
func NotReply(m *mdns.Msg)   { m.Response = false }
func WrongCase(m *mdns.Msg)  { m.Question[0].Name = swapCase(m.Question[0].Name) }
func OtherName(m *mdns.Msg)  { m.Answer[0].Header().Name = "www.evil.test." }

// LowerCase answers honestly, but with the question in lower case, as some
// servers do.
func LowerCase(x *DNSExchange) {
	Changed(func(m *mdns.Msg) { m.Question[0].Name = strings.ToLower(m.Question[0].Name) })(x)
}

func swapCase(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, name)
}

// Truncated sends an empty answer with the TC bit, over UDP and TCP.
func Truncated(x *DNSExchange) {
	m := x.Reply()
	m.Truncated, m.Answer, m.Ns = true, nil, nil
	x.Send(m)
}

// FromElsewhere sends the forged answer from another port.
func FromElsewhere(x *DNSExchange) {
	forged := *x
	forged.send = func(raw []byte) {
		conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(x.From))
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		// Refused if the client is connected: as it should be.
		_, _ = conn.Write(raw)
	}
	Forged(nil)(&forged)
}

// Held answers as act does once release is closed, or never.
func Held(release <-chan struct{}, act Act) Act {
	return func(x *DNSExchange) {
		select {
		case <-release:
			act(x)
		case <-x.server.closed:
		}
	}
}

// Garbage answers with bytes that are no message.
func Garbage(x *DNSExchange) {
	x.SendRaw([]byte("..\x81\x80\xff\xff\xff\xff\xff\xff\xff\xffgarbage"))
}

// Cut sends the honest reply without its last n bytes.
func Cut(n int) Act {
	return Raw(func(raw []byte) []byte { return raw[:max(0, len(raw)-n)] })
}

// Raw sends the bytes that change makes of the honest reply.
func Raw(change func([]byte) []byte) Act {
	return func(x *DNSExchange) {
		raw, err := x.Reply().Pack()
		if err != nil {
			panic(fmt.Sprintf("packing a scripted answer: %v", err))
		}
		x.SendRaw(change(raw))
	}
}

// PointerLoop sends an answer whose owner name is a compression pointer to
// itself.
func PointerLoop(x *DNSExchange) {
	m := x.Reply()
	m.Answer, m.Ns, m.Extra = nil, nil, nil
	raw, err := m.Pack()
	if err != nil {
		panic(fmt.Sprintf("packing a scripted answer: %v", err))
	}
	raw[7] = 1 // ANCOUNT
	at := len(raw)
	raw = append(raw, 0xc0|byte(at>>8), byte(at), 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 66)
	x.SendRaw(raw)
}

// Filled answers over TCP with a message of exactly 65,535 bytes: as many
// copies of the A record as fit, and one record of type NULL, which takes any
// bytes, to fill the rest. Over UDP it is truncated.
func Filled(x *DNSExchange) {
	if !x.TCP {
		Truncated(x)
		return
	}
	asked := x.Query.Question[0]
	head := x.Reply()
	head.Answer, head.Ns, head.Extra = nil, nil, nil
	raw, err := head.Pack()
	if err != nil {
		panic(fmt.Sprintf("packing a scripted answer: %v", err))
	}
	const record, tail = 16, 12 + 200
	count := 0
	for len(raw)+record+tail <= mdns.MaxMsgSize-1 {
		raw = append(raw, 0xc0, 12, 0, byte(asked.Qtype), 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, byte(count>>8), byte(count))
		count++
	}
	rest := mdns.MaxMsgSize - len(raw) - 12
	raw = append(raw, 0xc0, 12, 0, 10, 0, 1, 0, 0, 0, 60, byte(rest>>8), byte(rest))
	raw = append(raw, make([]byte, rest)...)
	count++
	raw[6], raw[7] = byte(count>>8), byte(count)
	x.SendRaw(raw)
}
