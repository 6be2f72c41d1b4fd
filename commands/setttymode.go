package commands

// setttymode says whether a session is one of a person, whose listings stop at
// the end of a page, or one of a script at a terminal (reference esa-cli-config
// 1.1). It concerns the session that it is typed in and ends with it.
func setttymode() Command {
	return Command{
		Name:  "setttymode",
		Short: "Set how this session uses its terminal.",
		Long: `"setttymode 0 1" has listings go on without "-Press Any Key For More-", for
scripts that drive a terminal; "setttymode 1 0" has them stop at every page
again. A session without terminal never stops.`,
		Forms: []Form{
			{Usage: "setttymode", Run: showPaging},
			{Usage: "setttymode 0 1", Run: paging(false)},
			{Usage: "setttymode 1 0", Run: paging(true)},
		},
	}
}

func showPaging(d *Dialog, _ Env, _ []string) error {
	if d.Paging() {
		d.Text("Listings stop at the end of every page.")
	} else {
		d.Text("Listings do not stop at the end of a page.")
	}
	return d.Err()
}

// paging says nothing: what drives the session waits for the next prompt.
func paging(on bool) func(*Dialog, Env, []string) error {
	return func(d *Dialog, _ Env, _ []string) error {
		d.SetPaging(on)
		return d.Err()
	}
}
