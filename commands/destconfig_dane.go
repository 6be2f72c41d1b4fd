package commands

import (
	"cmp"

	"esa/shell"
	"esa/store"
)

// What destconfig asks about DANE (reference esa-cli-config 4.2, 4.4).

// askDANE asks for the mode of a destination.
func askDANE(d *Dialog, question string, current store.DANEMode) store.DANEMode {
	var choices []shell.Choice
	for _, m := range store.DANEModes() {
		choices = append(choices, shell.Choice{Name: string(m), Text: m.Text()})
	}
	return store.DANEMode(d.ChooseName(question, choices, string(cmp.Or(current, store.DANEOff))))
}

// noteDANE tells what the modes of TLS and DANE that hold for a destination
// come to together, where that may surprise.
func noteDANE(d *Dialog, whole store.Destination) {
	if whole.DANE == store.DANEOpportunistic && whole.TLS == store.TLSOff {
		d.Text("TLS is No: mail to hosts without DANE goes in clear.")
	}
}

// daneWord is the mode of a destination in a column of LIST.
func daneWord(m store.DANEMode) string {
	if m == store.DANEOff {
		return "Off"
	}
	return m.Text()
}
