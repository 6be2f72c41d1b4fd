package configfile

import (
	"slices"
	"strconv"
	"strings"

	"esa/store"
)

// system is who is told of what, whom TLS trusts and what is logged.
func system() []element[store.Config] {
	return []element[store.Config]{
		plain("certificate_profiles/certificate_profile", func(c *store.Config) *[]store.Certificate { return &c.Certificates }, store.MaxCertificates, certificateFields()...),
		group("certificate_authorities", func(c *store.Config) *store.Authorities { return &c.Authorities },
			leaf("system_list_enabled", flag(), func(a *store.Authorities) *bool { return &a.System }),
			leaf("custom_list_enabled", flag(), func(a *store.Authorities) *bool { return &a.Custom }),
			customAuthorities()),
		group("crl_sources", func(c *store.Config) *store.Revocation { return &c.Revocation }, revocationFields()...),
		group("ssl", func(c *store.Config) *store.SSL { return &c.SSL }, sslFields()...),
		alertAddresses(),
		alertClasses(),
		group("alert_settings", func(c *store.Config) *store.Alerts { return &c.Alerts },
			leaf("alert_initial_interval", number[int](), func(a *store.Alerts) *int { return &a.InitialWait }),
			leaf("alert_max_interval", number[int](), func(a *store.Alerts) *int { return &a.MaxWait }),
			leaf("alert_saved", number[int](), func(a *store.Alerts) *int { return &a.Stored }),
			interfaceName("alert_interface", func(a *store.Alerts) *string { return &a.Interface })),
		logSubscriptions(),
		leaf("log_message_id", flag(), func(c *store.Config) *bool { return &c.LogSettings.MessageID }),
		leaf("log_remote_response", flag(), func(c *store.Config) *bool { return &c.LogSettings.RemoteResponse }),
		leaf("log_orig_subj", flag(), func(c *store.Config) *bool { return &c.LogSettings.Subject }),
	}
}

func certificateFields() []element[store.Certificate] {
	return []element[store.Certificate]{
		leaf("certificate_name", text[string](), func(c *store.Certificate) *string { return &c.Name }),
		lines("certificate", func(c *store.Certificate) *store.PEM { return &c.Chain }),
		certificateKey(),
		lines("signing_request", func(c *store.Certificate) *store.PEM { return &c.Request }),
	}
}

// certificateKey is a private key; those of other programs come in other forms
// of PEM than ours.
func certificateKey() element[store.Certificate] {
	e := secret("key", func(c *store.Certificate) *store.Secret { return &c.Key })
	e.read = func(r *reader, at tag, c *store.Certificate) {
		s := r.secret(at)
		if r.over || s == "" {
			return
		}
		key, err := store.ReadKey(s.Reveal())
		if err == nil {
			c.Key, err = store.EncodeKey(key)
		}
		if err != nil {
			r.refuse(at.at, "<key>: %v", err)
		}
	}
	return e
}

func customAuthorities() element[store.Authorities] {
	one := lines("certificate", func(a *store.Authority) *store.Authority { return a })
	return element[store.Authorities]{
		name: "custom_list",
		write: func(w *writer, a *store.Authorities) {
			w.open("custom_list")
			for _, authority := range a.List {
				one.write(w, &authority)
			}
			w.close("custom_list")
		},
		read: func(r *reader, _ tag, a *store.Authorities) {
			a.List = nil
			readFields(r, []element[store.Authorities]{{name: "certificate", repeats: true, read: func(r *reader, e tag, a *store.Authorities) {
				if len(a.List) == store.MaxAuthorities {
					r.stop(e.at, "There is a maximum of %d certificates in the custom list.", store.MaxAuthorities)
				}
				var authority store.Authority
				one.read(r, e, &authority)
				a.List = append(a.List, authority)
			}}}, a)
		},
	}
}

func revocationFields() []element[store.Revocation] {
	return []element[store.Revocation]{
		leaf("crl_listener_enabled", flag(), func(v *store.Revocation) *bool { return &v.Listener }),
		leaf("crl_delivery_enabled", flag(), func(v *store.Revocation) *bool { return &v.Delivery }),
		plain("crl_source_list/crl_source", func(v *store.Revocation) *[]store.CRLSource { return &v.Sources }, store.MaxCRLSources,
			leaf("crl_name", text[string](), func(s *store.CRLSource) *string { return &s.Name }),
			leaf("crl_url", text[string](), func(s *store.CRLSource) *string { return &s.URL }),
			leaf("crl_further_url", text[string](), func(s *store.CRLSource) *string { return &s.Further }),
			leaf("crl_refresh", codec[store.CRLSchedule]{store.CRLSchedule.String, store.ParseCRLSchedule}, func(s *store.CRLSource) *store.CRLSchedule { return &s.Refresh })),
	}
}

func sslFields() []element[store.SSL] {
	return []element[store.SSL]{
		method("ssl_inbound_method", func(s *store.SSL) *store.SSLSettings { return &s.Inbound }),
		leaf("ssl_inbound_ciphers", text[string](), func(s *store.SSL) *string { return &s.Inbound.Ciphers }),
		method("ssl_outbound_method", func(s *store.SSL) *store.SSLSettings { return &s.Outbound }),
		leaf("ssl_outbound_ciphers", text[string](), func(s *store.SSL) *string { return &s.Outbound.Ciphers }),
	}
}

// method is the versions of TLS as one word: tlsv1_2tlsv1_3. Appliances of old
// have tlsv1 for the first, and versions of SSL before it, which nobody speaks
// any more.
func method[T any](name string, place func(*T) *store.SSLSettings) element[T] {
	return element[T]{
		name:  name,
		write: func(w *writer, t *T) { w.leaf(name, place(t).Method()) },
		read: func(r *reader, e tag, t *T) {
			rest := strings.ToLower(strings.TrimSpace(r.leaf()))
			for _, ssl := range []string{"sslv2", "sslv3"} {
				if after, ok := strings.CutPrefix(rest, ssl); ok {
					rest = after
					r.note("<%s>: %s is not spoken.", name, ssl)
				}
			}
			var versions []store.TLSVersion
			if after, ok := strings.CutPrefix(rest, "tlsv1"); ok && !strings.HasPrefix(after, "_") {
				versions, rest = append(versions, store.TLS10), after
			}
			for _, v := range store.TLSVersions() {
				if after, ok := strings.CutPrefix(rest, string(v)); ok {
					versions, rest = append(versions, v), after
				}
			}
			if rest != "" || len(versions) == 0 {
				r.refuse(e.at, "<%s>: The method must be versions that follow each other, such as tlsv1_2tlsv1_3.", name)
				return
			}
			place(t).Versions = versions
		},
	}
}

// alertAddresses are the recipients in their order, which the classes do not
// tell. Reading them alone says nothing.
func alertAddresses() element[store.Config] {
	return values("alert_recipients/email_address", store.MaxAlertRecipients,
		codec[store.AlertRecipient]{
			func(r store.AlertRecipient) string { return r.Address },
			func(s string) (store.AlertRecipient, error) {
				address, err := store.ParseEmail(s)
				return store.AlertRecipient{Address: address}, err
			},
		}, func(c *store.Config) *[]store.AlertRecipient { return &c.Alerts.Recipients })
}

// alertForm is the alert settings as the file has them: each class and severity
// with those who are told of it.
type alertForm struct {
	alerts     *store.Alerts
	class      store.AlertClass
	severity   store.AlertSeverity
	recipients []store.AlertRecipient
}

// alertClasses is <alert_email_config>. It replaces who is told of what; an
// order that was read before it stays.
func alertClasses() element[store.Config] {
	from := leaf("alert_from_email_address", word(store.ParseEmail), func(a *store.Alerts) *string { return &a.From })
	return element[store.Config]{
		name: "alert_email_config",
		write: func(w *writer, c *store.Config) {
			w.open("alert_email_config")
			from.write(w, &c.Alerts)
			for _, class := range store.AlertClasses() {
				writeAlertClass(w, &c.Alerts, class)
			}
			w.close("alert_email_config")
		},
		read: func(r *reader, _ tag, c *store.Config) {
			form := alertForm{alerts: &c.Alerts, recipients: slices.Clone(c.Alerts.Recipients)}
			for i := range form.recipients {
				form.recipients[i].Classes, form.recipients[i].Severities = nil, nil
			}
			readFields(r, []element[alertForm]{
				{name: from.name, read: func(r *reader, e tag, f *alertForm) { from.read(r, e, f.alerts) }},
				{name: "alert_class", repeats: true, attributes: []string{"name"}, read: readAlertClass},
			}, &form)
			c.Alerts.Recipients = slices.DeleteFunc(form.recipients, func(a store.AlertRecipient) bool { return a.Classes == nil })
		},
	}
}

func writeAlertClass(w *writer, a *store.Alerts, class store.AlertClass) {
	w.open("alert_class", attribute{"name", string(class)})
	for _, severity := range store.AlertSeverities() {
		w.open("alert_severity", attribute{"name", string(severity)})
		for _, r := range a.Recipients {
			if slices.Contains(r.Classes, class) && slices.Contains(r.Severities, severity) {
				w.leaf("email_address", r.Address)
			}
		}
		w.close("alert_severity")
	}
	w.close("alert_class")
}

// readAlertClass reads the recipients of one class. An appliance has classes
// that are about what this build does not have.
func readAlertClass(r *reader, e tag, f *alertForm) {
	name := e.attribute("name")
	f.class = store.AlertClass(name)
	if !slices.Contains(store.AlertClasses(), f.class) {
		if r.skip() {
			r.note("Alerts of the class %q: this build has none.", name)
		}
		return
	}
	readFields(r, []element[alertForm]{{name: "alert_severity", repeats: true, attributes: []string{"name"}, read: func(r *reader, e tag, f *alertForm) {
		f.severity = store.AlertSeverity(e.attribute("name"))
		if !slices.Contains(store.AlertSeverities(), f.severity) {
			r.refuse(e.at, "The severity %q is not known.", f.severity)
		}
		readFields(r, []element[alertForm]{{name: "email_address", repeats: true, read: (*reader).alertAddress}}, f)
	}}}, f)
}

// alertAddress adds a recipient of the class and severity that are being read.
func (r *reader) alertAddress(e tag, f *alertForm) {
	address, err := store.ParseEmail(r.leaf())
	if err != nil {
		r.refuse(e.at, "<email_address>: %v", err)
		return
	}
	n := slices.IndexFunc(f.recipients, func(a store.AlertRecipient) bool { return a.Address == address })
	if n < 0 {
		if len(f.recipients) == store.MaxAlertRecipients {
			r.stop(e.at, "There is a maximum of %d alert recipients.", store.MaxAlertRecipients)
		}
		n = len(f.recipients)
		f.recipients = append(f.recipients, store.AlertRecipient{Address: address})
	}
	to := &f.recipients[n]
	to.Classes = joined(to.Classes, f.class, store.AlertClasses())
	to.Severities = joined(to.Severities, f.severity, store.AlertSeverities())
}

// joined adds to a choice, in the order of all; the first of all stands for the
// others.
func joined[S comparable](chosen []S, more S, all []S) []S {
	chosen = append(chosen, more)
	if slices.Contains(chosen, all[0]) {
		return all[:1:1]
	}
	var ordered []S
	for _, one := range all {
		if slices.Contains(chosen, one) {
			ordered = append(ordered, one)
		}
	}
	return ordered
}

// logElements gives the element of each type of log.
func logElements() map[string]string {
	return map[string]string{
		store.TextMailLog: "log_text", store.CLIAuditLog: "log_cli", store.AuthenticationLog: "log_auth", store.SystemLog: "log_system",
	}
}

// logSubscriptions are the logs, each type in an element of its own name.
func logSubscriptions() element[store.Config] {
	return list[store.Config, store.LogSubscription]{
		name: "log_subscriptions", most: store.MaxLogs,
		all: func(c *store.Config) []store.LogSubscription { return c.Logs },
		keep: func(_ *reader, _ tag, c *store.Config, logs []store.LogSubscription) {
			c.Logs = logs
		},
		fresh: func() store.LogSubscription {
			return store.LogSubscription{Level: 3, MaxSize: 10485760, MaxFiles: 10}
		},
		items: func(l *store.LogSubscription) string { return logElements()[l.Type] },
		named: func(name string, l *store.LogSubscription) bool {
			for kind, element := range logElements() {
				if element == name {
					l.Type = kind
					return true
				}
			}
			return false
		},
		fields: []element[store.LogSubscription]{
			leaf("name", word(store.ParseLogName), func(l *store.LogSubscription) *string { return &l.Name }),
			group("retrieval", same[store.LogSubscription],
				group("ftp_poll", same[store.LogSubscription],
					leaf("filename", word(store.ParseFileName), func(l *store.LogSubscription) *string { return &l.FileName }),
					leaf("rolloversize", size(), func(l *store.LogSubscription) *int64 { return &l.MaxSize }),
					leaf("rollover_max_files", number[int](), func(l *store.LogSubscription) *int { return &l.MaxFiles }))),
			leaf("log_level", logLevel(), func(l *store.LogSubscription) *int { return &l.Level }),
		},
	}.element()
}

// logLevel is the number of a level, or its name.
func logLevel() codec[int] {
	return codec[int]{strconv.Itoa, func(s string) (int, error) {
		names := store.LogLevels()
		n := slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(name, strings.TrimSpace(s)) }) + 1
		if n == 0 {
			n, _ = strconv.Atoi(strings.TrimSpace(s))
		}
		if n < 1 || n > len(names) {
			return 0, valueError("The level must be a number from 1 to " + strconv.Itoa(len(names)) + ".")
		}
		return n, nil
	}}
}
