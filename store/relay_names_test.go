package store

import "testing"

// To relay for hosts without a name, or for those on a list, is to relay for
// strangers.
func TestOpensRelayByNames(t *testing.T) {
	for _, host := range []string{"nx.domain", "serv.fail", "not.double.verified", "dnslist[bl.example]"} {
		from, to := Factory(FactoryFacts{}), Factory(FactoryFacts{})
		to.Listeners[0].HAT.Groups[0].Hosts = append(to.Listeners[0].HAT.Groups[0].Hosts, host)
		if opened := OpensRelay(from, to); len(opened) == 0 {
			t.Errorf("%s opens a relay and nobody is told", host)
		}
	}
}
