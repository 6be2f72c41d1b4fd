package commands

import (
	"cmp"
	"fmt"
	"slices"

	"esa/shell"
	"esa/store"
)

// The questions about one destination, in the order of the appliance
// (reference esa-cli-config 4.2 and 4.5). Those about address tagging are not
// asked: this build does not have it.

// What is proposed where an entry sets for itself what was left to the
// default.
const (
	proposedConcurrency = 500
	proposedMessages    = 50
	proposedMinutes     = 60
)

func destQuestions(d *Dialog, cfg *store.Config, to store.Destination, fresh bool) store.Destination {
	name := to.Domain
	if !d.YesNo(fmt.Sprintf("Do you wish to configure a concurrency limit for %s?", name), fresh || to.Concurrency != 0) {
		to.Concurrency = 0
	} else {
		to.Concurrency = d.Int(fmt.Sprintf("Enter the max concurrency limit for %q.", name), cmp.Or(to.Concurrency, proposedConcurrency), 1, store.MaxDestinationConcurrency)
	}
	if !d.YesNo("Do you wish to apply a messages-per-connection limit to this domain?", to.MaxMessages != 0) {
		to.MaxMessages = 0
	} else {
		to.MaxMessages = d.Int("Enter the max number of messages per connection.", cmp.Or(to.MaxMessages, proposedMessages), 1, store.MaxMessagesPerConnection)
	}
	if !d.YesNo("Do you wish to apply a recipient limit to this domain?", to.RecipientLimit != 0) {
		to.RecipientLimit, to.RecipientMinutes = 0, 0
	} else {
		to.RecipientMinutes = askMinutes(d, to.RecipientMinutes)
		to.RecipientLimit = d.Int(fmt.Sprintf("Enter the max number of recipients per %d minutes for %q.", to.RecipientMinutes, name), to.RecipientLimit, 1, store.MaxRecipientLimit)
	}
	if to.Limited() {
		to.Scope, to.Place = askScope(d, name, to.Scope), askPlace(d, to.Place)
	} else {
		to.Scope, to.Place = "", ""
	}
	if !d.YesNo("Do you wish to apply a specific TLS setting for this domain?", to.TLS != store.TLSInherit) {
		to.TLS = store.TLSInherit
	} else {
		to.TLS = askTLS(d, cfg, to.TLS)
	}
	if !d.YesNo("Do you wish to configure DANE Support?", to.DANE != store.DANEInherit) {
		to.DANE = store.DANEInherit
	} else {
		to.DANE = askDANE(d, "Please choose a DANE option:", to.DANE)
	}
	noteDANE(d, to.Within(cfg.Destinations.Default))
	to.BounceProfile = destBounce(d, cfg, to.BounceProfile)
	if !d.YesNo("Do you wish to apply a specific IP sort preference to this domain?", to.Family != "") {
		to.Family = ""
	} else {
		to.Family = askFamily(d, to.Family)
	}
	return to
}

// destDefault asks for what holds where no entry says otherwise.
func destDefault(d *Dialog, cfg *store.Config) {
	to := cfg.Destinations.Default
	to.Concurrency = d.Int("Enter the default maximum concurrency limit.", to.Concurrency, 1, store.MaxDestinationConcurrency)
	if !d.YesNo("Do you wish to specify a default recipient limit?", to.RecipientLimit != 0) {
		to.RecipientLimit, to.RecipientMinutes = 0, 0
	} else {
		to.RecipientMinutes = askMinutes(d, to.RecipientMinutes)
		to.RecipientLimit = d.Int(fmt.Sprintf("Enter number of recipients per %d minutes.", to.RecipientMinutes), cmp.Or(to.RecipientLimit, proposedConcurrency), 1, store.MaxRecipientLimit)
	}
	to.Scope, to.Place = askScope(d, "", to.Scope), askPlace(d, to.Place)
	to.MaxMessages = d.Int("Enter the default maximum number of messages per connection.", to.MaxMessages, 1, store.MaxMessagesPerConnection)
	to.TLS = askTLS(d, cfg, to.TLS)
	to.DANE = askDANE(d, "Do you want to use DANE Support?", to.DANE)
	noteDANE(d, to)
	to.Family = askFamily(d, to.Family)
	if d.Err() == nil {
		cfg.Destinations.Default = to
	}
}

func askMinutes(d *Dialog, current int) int {
	return d.Int("Enter the number of minutes used to measure the recipient limit.", cmp.Or(current, proposedMinutes), 1, store.MaxRecipientMinutes)
}

// askScope asks for the scope of the limits of a domain, of the default if
// that is empty.
func askScope(d *Dialog, domain string, current store.LimitScope) store.LimitScope {
	name, entire := domain, " "+domain
	if domain == "" {
		name, entire = "each domain", ""
	}
	return store.LimitScope(d.ChooseName(fmt.Sprintf("Select how you want to apply the limits for %s:", name), []shell.Choice{
		{Name: string(store.WholeDomain), Text: "One limit applies to the entire domain" + entire},
		{Name: string(store.EachMX), Text: "Separate limit for each mail exchanger IP address"},
	}, string(cmp.Or(current, store.WholeDomain))))
}

func askPlace(d *Dialog, current store.LimitPlace) store.LimitPlace {
	return store.LimitPlace(d.ChooseName("Select how the limits will be enforced:", []shell.Choice{
		{Name: string(store.SystemWide), Text: "System Wide"},
		{Name: string(store.EachInterface), Text: "Per Virtual Gateway(tm)"},
	}, string(cmp.Or(current, store.SystemWide))))
}

func askFamily(d *Dialog, current store.FamilyOrder) store.FamilyOrder {
	var choices []shell.Choice
	for _, f := range store.FamilyOrders() {
		choices = append(choices, shell.Choice{Name: string(f), Text: familyText(f)})
	}
	return store.FamilyOrder(d.ChooseName("How should the appliance sort IP addresses within an MX preference level?", choices,
		string(cmp.Or(current, store.FamilyOrders()[0]))))
}

// familyText is a sort preference as people read it.
func familyText(f store.FamilyOrder) string {
	switch f {
	case store.PreferV4:
		return "Prefer IPv4"
	case store.RequireV4:
		return "Require IPv4"
	case store.RequireV6:
		return "Require IPv6"
	default:
		return "Prefer IPv6"
	}
}

// destBounce asks for the profile of a destination, which may be a new one.
func destBounce(d *Dialog, cfg *store.Config, current string) string {
	if !d.YesNo("Do you wish to apply a specific bounce profile to this domain?", current != "") {
		return ""
	}
	names := append(profileNames(cfg), newProfile)
	n := d.Choose("Please choose a bounce profile to apply:", names, max(0, slices.Index(names, current)))
	if names[n] != newProfile {
		return names[n]
	}
	return cmp.Or(bounceNew(d, cfg), current)
}
