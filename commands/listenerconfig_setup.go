package commands

import (
	"esa/shell"
	"esa/store"
)

// This file is SETUP of listenerconfig: what holds for all listeners (reference
// esa-cli-config 7.4). The questions of SenderBase and virtual gateways are
// left out with what they are about. So is that of the largest subject: the
// reference does not tell what becomes of a message that has a larger one.

func receptionDialog(d *Dialog, cfg *store.Config) {
	r := cfg.Reception
	r.MaxConnections = d.Int("Enter the global limit for concurrent connections to be allowed across all listeners.", r.MaxConnections, 1, store.MaxReceptionConns)
	r.MaxTLS = d.Int("Enter the global limit for concurrent TLS connections to be allowed across all listeners.", r.MaxTLS, 1, store.MaxReceptionConns)
	r.HeaderLines = d.Int("Enter the maximum number of message header lines. 0 indicates no limit.", r.HeaderLines, 0, store.MaxHeaderLines)
	r.CounterReset = askPeriod(d, "Enter the rate at which injection control counters are reset.", r.CounterReset, counterReset)
	r.Unsuccessful = askPeriod(d, "Enter the timeout for unsuccessful inbound connections.", r.Unsuccessful, inboundTime)
	r.ConnectionTime = askPeriod(d, "Enter the maximum connection time for inbound connections.", r.ConnectionTime, inboundTime)
	r.AddMessageID = d.YesNo("The system will always add a Message-ID header to outgoing messages that don't already have one. "+
		"Would you like to do the same for incoming messages? (Not recommended.)", r.AddMessageID)
	r.RejectRecipients = d.YesNo("By default connections with a HAT REJECT policy will be closed with a banner message at the start of the SMTP conversation. "+
		"Would you like to do the rejection at the message recipient level instead for more detailed logging of rejected mail?", r.RejectRecipients)
	if d.Err() == nil {
		cfg.Reception = r
	}
}

// askPeriod asks for a time such as 15m.
func askPeriod(d *Dialog, question string, seconds int, parse func(string) (int, error)) int {
	return shell.Ask(d, question, store.FormatPeriod(seconds), parse)
}

func counterReset(text string) (int, error) {
	return store.ParsePeriod(text, store.MinCounterReset, store.MaxCounterReset)
}

func inboundTime(text string) (int, error) { return store.ParsePeriod(text, 1, store.MaxInboundTime) }

// receptionKeys lists the keys of the one-line form.
func receptionKeys(r *store.Reception) []key {
	return []key{
		{"connections", "N", number(&r.MaxConnections, 1, store.MaxReceptionConns)},
		{"tls_connections", "N", number(&r.MaxTLS, 1, store.MaxReceptionConns)},
		{"header_lines", "N", number(&r.HeaderLines, 0, store.MaxHeaderLines)},
		{"counter_reset", "TIME", parsed(&r.CounterReset, counterReset)},
		{"unsuccessful", "TIME", parsed(&r.Unsuccessful, inboundTime)},
		{"connection_time", "TIME", parsed(&r.ConnectionTime, inboundTime)},
		{"message_id", "yes|no", yesNo(&r.AddMessageID)},
		{"reject_recipients", "yes|no", yesNo(&r.RejectRecipients)},
	}
}

func receptionForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		if err := setKeys(receptionKeys(&cfg.Reception), args); err != nil {
			return err
		}
		d.Printf("Global listener settings changed.\n")
		return nil
	})
}
