package configfile

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"esa/store"
)

// listeners is who may send what to us.
func listeners() []element[store.Config] {
	return []element[store.Config]{
		list[store.Config, listenerForm]{
			name: "listeners", item: "listener", most: store.MaxListeners, fields: listenerFields(),
			all: func(c *store.Config) []listenerForm { return formsOf(c.Listeners, newListenerForm) },
			keep: func(r *reader, _ tag, c *store.Config, forms []listenerForm) {
				c.Listeners = nil
				for _, f := range forms {
					c.Listeners = append(c.Listeners, f.entry(r, c))
				}
			},
		}.element(),
		leaf("global_inbound_connection_timeout", number[int](), func(c *store.Config) *int { return &c.Reception.Unsuccessful }),
		leaf("global_inbound_conversation_timeout", number[int](), func(c *store.Config) *int { return &c.Reception.ConnectionTime }),
		leaf("global_injection_control_period", number[int](), func(c *store.Config) *int { return &c.Reception.CounterReset }),
		leaf("global_max_header_lines", number[int](), func(c *store.Config) *int { return &c.Reception.HeaderLines }),
		leaf("global_max_listener_concurrency", number[int](), func(c *store.Config) *int { return &c.Reception.MaxConnections }),
		leaf("global_max_tls_concurrency", number[int](), func(c *store.Config) *int { return &c.Reception.MaxTLS }),
		leaf("global_add_message_id", flag(), func(c *store.Config) *bool { return &c.Reception.AddMessageID }),
		leaf("global_reject_at_recipient", flag(), func(c *store.Config) *bool { return &c.Reception.RejectRecipients }),
		plain("exception_table/exception", func(c *store.Config) *[]store.Exception { return &c.Exceptions }, store.MaxExceptions,
			leaf("exception_address", word(store.ParseException), func(e *store.Exception) *string { return &e.Address }),
			leaf("exception_allow", flag(), func(e *store.Exception) *bool { return &e.Allow })),
	}
}

// listenerForm is a listener as the file has it. What the file does not say is
// known when its type is: the defaults of a new listener.
type listenerForm struct {
	store.Listener
	protocol string
	hat      string
	hatAt    tag
	hatSet   bool // the table was read
	ratSet   bool
	params   store.PolicyParams // the defaults of the table that were read
}

func newListenerForm(l store.Listener) listenerForm {
	var hat strings.Builder
	_ = store.WriteHAT(&hat, l.HAT) // a builder takes all
	return listenerForm{Listener: l, protocol: protocol, hat: hat.String(), params: l.HAT.Default}
}

// protocol is the only one there is.
const protocol = "SMTP"

func listenerFields() []element[listenerForm] {
	fields := []element[listenerForm]{
		leaf("listener_name", word(store.ParseListenerName), func(f *listenerForm) *string { return &f.Name }),
		leaf("protocol", word(parseProtocol), func(f *listenerForm) *string { return &f.protocol }),
		interfaceName("interface_name", func(f *listenerForm) *string { return &f.Interface }),
		leaf("port", number[uint16](), func(f *listenerForm) *uint16 { return &f.Port }),
		leaf("listen_queue_size", number[int](), func(f *listenerForm) *int { return &f.QueueSize }),
		leaf("type", word(parseListenerType), func(f *listenerForm) *store.ListenerType { return &f.Type }),
		leaf("default_domain", text[string](), func(f *listenerForm) *string { return &f.DefaultDomain }),
		leaf("max_concurrency", number[int](), func(f *listenerForm) *int { return &f.MaxConnections }),
		leaf("bounce_profile_name", profileName(), func(f *listenerForm) *string { return &f.BounceProfile }),
		leaf("certificate_name", text[string](), func(f *listenerForm) *string { return &f.Certificate }),
		leaf("enable_received_header", flag(), func(f *listenerForm) *bool { return &f.Received }),
		leaf("clean_smtp", cleanSMTP(), func(f *listenerForm) *store.CleanSMTP { return &f.CleanSMTP }),
	}
	for _, e := range hatDefaults() {
		fields = append(fields, element[listenerForm]{
			name: e.name, unless: func(f *listenerForm) bool { return !e.written(&f.params) },
			write: func(w *writer, f *listenerForm) { e.write(w, &f.params) },
			read:  func(r *reader, at tag, f *listenerForm) { e.read(r, at, &f.params) },
		})
	}
	return append(fields, hatBlock(), ratTable())
}

// profileName is a bounce profile; Default is what no name means.
func profileName() codec[string] {
	c := text[string]()
	c.parse = func(s string) (string, error) {
		if s = strings.TrimSpace(s); s == store.DefaultProfile {
			return "", nil
		}
		return s, nil
	}
	return c
}

func parseProtocol(s string) (string, error) {
	if !strings.EqualFold(s, protocol) {
		return "", valueError("The protocol of a listener must be SMTP.")
	}
	return protocol, nil
}

func parseListenerType(s string) (store.ListenerType, error) {
	for _, t := range []store.ListenerType{store.Public, store.Private} {
		if strings.EqualFold(s, string(t)) {
			return t, nil
		}
	}
	return "", valueError("The type of a listener must be public or private.")
}

// cleanSMTP is a word of ours; an appliance has 1 for what makes bare CR and LF
// line ends, and 0 for what does not.
func cleanSMTP() codec[store.CleanSMTP] {
	return word(func(s string) (store.CleanSMTP, error) {
		switch c := store.CleanSMTP(strings.ToLower(s)); c {
		case store.Clean, store.Reject, store.Allow:
			return c, nil
		}
		on, err := parseFlag(s)
		if err != nil {
			return "", valueError("The value must be clean, reject or allow.")
		}
		if on {
			return store.Clean, nil
		}
		return store.Allow, nil
	})
}

// hatDefaults are the default parameters of a host access table: those that an
// appliance has under its names, others under the names of the text form.
func hatDefaults() []element[store.PolicyParams] {
	const prefix = "hat_default_"
	fields := slices.Concat(
		customReply(prefix+"smtp_banner", func(p *store.PolicyParams) *store.Reply { return &p.AcceptReply }),
		customReply(prefix+"reject_banner", func(p *store.PolicyParams) *store.Reply { return &p.RejectReply }),
		[]element[store.PolicyParams]{
			optional(prefix+"use_override_hostname", tri(), func(p *store.PolicyParams) *store.Tri { return &p.BannerHost.Use }),
			optional(prefix+"override_hostname", text[string](), func(p *store.PolicyParams) *string { return &p.BannerHost.Name }),
		})
	for _, name := range store.PolicyParamNames() {
		if slices.Contains([]string{"smtp_accept", "smtp_reject", "smtp_banner_host"}, name) {
			continue
		}
		fields = append(fields, element[store.PolicyParams]{
			name:   prefix + name,
			unless: func(p *store.PolicyParams) bool { return p.Param(name) == "" },
			write:  func(w *writer, p *store.PolicyParams) { w.leaf(prefix+name, p.Param(name)) },
			read: func(r *reader, e tag, p *store.PolicyParams) {
				if text := strings.TrimSpace(r.leaf()); text != "" {
					if err := p.SetParam(name, text); err != nil {
						r.refuse(e.at, "<%s>: %v", e.name, err)
					}
				}
			},
		})
	}
	return fields
}

// customReply is a reply as a code and a text. Code 0 keeps the standard one;
// without both elements the default decides.
func customReply(name string, place func(*store.PolicyParams) *store.Reply) []element[store.PolicyParams] {
	code := leaf(name+"_code", number[int](), func(p *store.PolicyParams) *int { return &place(p).Code })
	words := leaf(name+"_text", text[string](), func(p *store.PolicyParams) *string { return &place(p).Text })
	code.unless = func(p *store.PolicyParams) bool { return place(p).Use == store.Inherit }
	words.unless = func(p *store.PolicyParams) bool { return !place(p).Use.Is() }
	read := code.read
	code.read = func(r *reader, e tag, p *store.PolicyParams) {
		read(r, e, p)
		place(p).Use = store.TriOf(place(p).Code != 0)
	}
	return []element[store.PolicyParams]{code, words}
}

// hatBlock is the host access table in its text form.
func hatBlock() element[listenerForm] {
	return element[listenerForm]{
		name:  "hat",
		write: func(w *writer, f *listenerForm) { w.block("hat", f.hat) },
		read: func(r *reader, e tag, f *listenerForm) {
			f.hat, f.hatAt, f.hatSet = r.leaf(), e, true
		},
	}
}

// ratForm is an entry of the recipient access table as the file has it: several
// addresses may share an access.
type ratForm struct {
	addresses []string
	entry     store.RATEntry
}

func ratTable() element[listenerForm] {
	table := list[listenerForm, ratForm]{
		name: "rat", item: "rat_entry", most: store.MaxRATEntries,
		all: func(f *listenerForm) []ratForm {
			return formsOf(f.RAT, func(e store.RATEntry) ratForm { return ratForm{[]string{e.Address}, e} })
		},
		keep: func(r *reader, e tag, f *listenerForm, forms []ratForm) {
			f.RAT, f.ratSet = nil, true
			for _, form := range forms {
				for _, address := range form.addresses {
					entry := form.entry
					entry.Address = address
					f.RAT = append(f.RAT, entry)
				}
			}
			if len(f.RAT) > store.MaxRATEntries {
				r.stop(e.at, "There is a maximum of %d entries.", store.MaxRATEntries)
			}
		},
		fields: []element[ratForm]{
			repeated("rat_address", store.MaxRATEntries, word(store.ParseRATAddress), func(f *ratForm) *[]string { return &f.addresses }),
			leaf("access", codec[bool]{formatAccess, parseAccess}, func(f *ratForm) *bool { return &f.entry.Accept }),
			ratParams(),
		},
	}.element()
	table.unless = func(f *listenerForm) bool { return f.Type == store.Private && len(f.RAT) == 0 }
	return table
}

// ratParams is what most entries do not have.
func ratParams() element[ratForm] {
	params := group("rat_params", func(f *ratForm) *store.RATEntry { return &f.entry },
		optional("smtp_response_text", text[string](), func(e *store.RATEntry) *string { return &e.Text }),
		optional("smtp_response_code", number[int](), func(e *store.RATEntry) *int { return &e.Code }),
		leaf("bypass_receiving_control", flag(), func(e *store.RATEntry) *bool { return &e.Uncounted }))
	params.unless = func(f *ratForm) bool {
		return f.entry == store.RATEntry{Address: f.entry.Address, Accept: f.entry.Accept}
	}
	return params
}

func formatAccess(accept bool) string {
	if accept {
		return string(store.Accept)
	}
	return string(store.Refuse)
}

func parseAccess(s string) (bool, error) {
	switch s = strings.TrimSpace(s); {
	case strings.EqualFold(s, string(store.Accept)):
		return true, nil
	case strings.EqualFold(s, string(store.Refuse)):
		return false, nil
	}
	return false, valueError("The access must be ACCEPT or REJECT.")
}

// entry makes the listener, with the defaults of its type where the file says
// nothing.
func (f listenerForm) entry(r *reader, c *store.Config) store.Listener {
	l := f.Listener
	fresh := store.NewListener(l.Name, cmp.Or(l.Type, store.Public))
	l.Type = fresh.Type
	l.Port = cmp.Or(l.Port, fresh.Port)
	l.QueueSize = cmp.Or(l.QueueSize, fresh.QueueSize)
	l.MaxConnections = cmp.Or(l.MaxConnections, fresh.MaxConnections)
	l.CleanSMTP = cmp.Or(l.CleanSMTP, fresh.CleanSMTP)
	if l.Interface == "" && len(c.Interfaces) > 0 {
		l.Interface = c.Interfaces[0].Name
		r.note("The listener %q names no interface: it has %s.", l.Name, l.Interface)
	}
	if !f.ratSet {
		l.RAT = fresh.RAT
	}
	l.HAT = fresh.HAT
	l.HAT.Default = wholeReplies(f.params).Effective(fresh.HAT.Default)
	if !f.hatSet {
		return l
	}
	read, err := store.ParseHAT(strings.NewReader(f.hat), l.HAT)
	first := errorAt(r.text, f.hatAt.at, "").Line
	if err != nil {
		r.refuse(f.hatAt.at, "<hat> of the listener %q: %s", l.Name, shiftLines(err.Error(), first))
		return l
	}
	l.HAT = read.HAT
	for _, note := range read.Notes {
		r.note("<hat> of the listener %q, %s", l.Name, shiftLines(note, first))
	}
	return l
}

// shiftLines makes the line numbers of a table, "line 3: ...", those of the
// file: first is where the table begins.
func shiftLines(text string, first int) string {
	all := strings.Split(text, "\n")
	for i, line := range all {
		if rest, ok := strings.CutPrefix(line, "line "); ok {
			number, what, _ := strings.Cut(rest, ":")
			if n, err := strconv.Atoi(number); err == nil {
				all[i] = fmt.Sprintf("line %d:%s", first+n-1, what)
			}
		}
	}
	return strings.Join(all, "\n")
}

// wholeReplies takes replies and names without a text for the standard ones, as
// an appliance has them.
func wholeReplies(p store.PolicyParams) store.PolicyParams {
	for _, reply := range []*store.Reply{&p.AcceptReply, &p.RejectReply} {
		if !reply.Use.Is() || reply.Text == "" {
			*reply = store.Reply{Use: reply.Use}
			if reply.Use.Is() {
				reply.Use = store.Inherit
			}
		}
	}
	if !p.BannerHost.Use.Is() {
		p.BannerHost.Name = ""
	}
	return p
}
