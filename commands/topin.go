package commands

import "fmt"

// topin lists who is connected, by number of connections (reference
// esa-operations 3.1).
func topin() Command {
	show := func(d *Dialog, env Env) error {
		peers, err := env.Look.Peers()
		if err != nil {
			return err
		}
		d.Printf("%-32s%s\n", "Status as of:", env.Clock().Local().Format("Mon Jan _2 15:04:05 2006"))
		d.Text(peerTable(peers))
		return d.Err()
	}
	return Command{
		Name:  "topin",
		Short: "Show the hosts with most incoming connections.",
		Forms: []Form{{Usage: "topin", Run: func(d *Dialog, env Env, _ []string) error { return show(d, env) }}},
	}
}

// peerTable has the columns of the reference, wider where a name needs it.
func peerTable(peers []Peer) string {
	number, host, addr, listener := 3, 27, 18, 16
	for i, p := range peers {
		number = max(number, len(fmt.Sprint(i+1))+1)
		host = max(host, len(p.Host)+1)
		addr = max(addr, len(p.Addr.String())+1)
		listener = max(listener, len(p.Listener)+1)
	}
	text := fmt.Sprintf("%-*s%-*s%-*s%-*sConn. In\n", number, "#", host, "Remote hostname", addr, "Remote IP addr.", listener, "listener")
	for i, p := range peers {
		text += fmt.Sprintf("%-*d%-*s%-*s%-*s%8d\n", number, i+1, host, p.Host, addr, p.Addr, listener, p.Listener, p.Connections)
	}
	return text
}
