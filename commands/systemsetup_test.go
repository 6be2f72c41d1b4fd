package commands

import (
	"testing"

	"esa/store"
)

// TestAlertRecipientsOfSetup: who is told already keeps what they are told of.
func TestAlertRecipientsOfSetup(t *testing.T) {
	before := []store.AlertRecipient{{Address: "ops@example.com", Classes: store.AlertClasses()[:1], Severities: []store.AlertSeverity{store.CriticalSeverity}}}
	got, err := alertRecipients(" OPS@example.com, new@example.org,ops@example.com", before)
	if err != nil || len(got) != 2 || got[0].Severities[0] != store.CriticalSeverity || got[1].Address != "new@example.org" || got[1].Severities[0] != store.AllSeverities {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := alertRecipients("none", before); err != nil || got != nil {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "ops@example.com,", "nobody"} {
		if got, err := alertRecipients(bad, before); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}
