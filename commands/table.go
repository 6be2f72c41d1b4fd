package commands

// Table lists every command, in the order of help, with those who may run it.
func Table() []Command {
	table := list()
	for i := range table {
		table[i].Roles = mayRun(table[i].Name)
	}
	return table
}

// list is the only list of commands there is.
func list() []Command {
	return []Command{
		alertconfig(),
		archivemessage(),
		bounceconfig(),
		bouncerecipients(),
		certconfig(),
		clearchanges(),
		commit(),
		commitdetail(),
		daneconfig(),
		daneverify(),
		date(),
		deleterecipients(),
		delivernow(),
		deliveryconfig(),
		destconfig(),
		dig(),
		displayalerts(),
		dnsconfig(),
		dnsflush(),
		dnssecverify(),
		dnsstatus(),
		exceptionconfig(),
		exit(),
		findevent(),
		grep(),
		help(),
		hostrate(),
		hoststatus(),
		interfaceconfig(),
		last(),
		listenerconfig(),
		logconfig(),
		nslookup(),
		oldmessage(),
		passphrase(),
		queueconfig(),
		rate(),
		redirectrecipients(),
		removemessage(),
		resetcounters(),
		resume(),
		resumedel(),
		resumelistener(),
		rollbackconfig(),
		rollovernow(),
		sethostname(),
		setttymode(),
		showchanges(),
		showmessage(),
		showrecipients(),
		smtproutes(),
		sslconfig(),
		status(),
		suspend(),
		suspenddel(),
		suspendlistener(),
		systemsetup(),
		tail(),
		tlsverify(),
		tophosts(),
		topin(),
		userconfig(),
		version(),
		who(),
		whoami(),
		workqueue(),
	}
}
