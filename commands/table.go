package commands

// Table lists every command, in the order of help: the only list there is.
func Table() []Command {
	return []Command{
		bounceconfig(),
		clearchanges(),
		commit(),
		commitdetail(),
		deliveryconfig(),
		destconfig(),
		dnsconfig(),
		exit(),
		grep(),
		help(),
		interfaceconfig(),
		listenerconfig(),
		logconfig(),
		rollbackconfig(),
		rollovernow(),
		sethostname(),
		showchanges(),
		smtproutes(),
		status(),
		tail(),
		version(),
		who(),
		whoami(),
	}
}
