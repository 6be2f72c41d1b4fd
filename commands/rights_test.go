package commands

import (
	"io"
	"slices"
	"strings"
	"testing"

	"esa/shell"
	"esa/shell/shelltest"
	"esa/store"
)

// mayTable is who may run each command, a letter for each role: A Administrators,
// O Operators, R Read-Only Operators, T Technicians, G Guests; from the table of
// roles (reference esa-operations 1.7).
func mayTable() map[string]string {
	rows := map[string]string{
		// "Everything" but accounts and systemsetup: Operator. "Sees all, may make
		// changes but not commit": Read-Only Operator.
		"alertconfig bounceconfig certconfig clearchanges commitdetail daneconfig daneverify deliveryconfig destconfig dig": "AOR",
		"displayalerts dnsconfig dnssecverify exceptionconfig findevent grep interfaceconfig listenerconfig logconfig":      "AOR",
		"nslookup oldmessage queueconfig rollbackconfig sethostname showchanges showmessage showrecipients smtproutes":      "AOR",
		"showconfig sslconfig tail tlsverify": "AOR",
		// What acts at once is not for those who only look.
		"archivemessage bouncerecipients commit deleterecipients delivernow dnsflush redirectrecipients removemessage": "AO",
		"loadconfig resetcounters rollovernow": "AO",
		// "Suspend mail, view work queue and listener status, save/mail
		// configuration": Technician.
		"mailconfig resume resumedel resumelistener saveconfig suspend suspenddel suspendlistener": "AOT",
		"workqueue": "AORT",
		// "Status information": Guest; and what every session has.
		"date dnsstatus exit help hostrate hoststatus last passphrase rate setttymode status tophosts topin version who whoami": "AORTG",
		// "No user accounts, no resetconfig, no systemsetup, no adminaccessconfig":
		// Operator, and those below; nor who may log in with which key.
		"adminaccessconfig archiveconfig resetconfig sshconfig systemsetup userconfig": "A",
	}
	table := map[string]string{}
	for names, roles := range rows {
		for name := range strings.FieldsSeq(names) {
			table[name] = roles
		}
	}
	return table
}

// letters gives the roles of mayTable.
func letters() map[store.Role]string {
	return map[store.Role]string{
		store.Administrators: "A", store.Operators: "O", store.ReadOnlyOperators: "R", store.Technicians: "T", store.Guests: "G",
	}
}

// crewed is a world with a user of each role, named as its group.
func crewed(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	lines := []string{}
	for _, r := range store.Roles() {
		lines = append(lines, "userconfig new u"+r.Group()+" "+r.Group())
	}
	w.run(w.env("admin", true), append(lines, "commit crew")...)
	return w
}

// ways gives every way to run a command: bare, by its other names in capitals,
// and by each one-line form.
func ways(c Command) []string {
	lines := []string{c.Name}
	for _, alias := range c.Aliases {
		lines = append(lines, strings.ToUpper(alias))
	}
	for _, f := range c.Forms {
		lines = append(lines, strings.NewReplacer("[", "", "]", "", "...", "").Replace(strings.Join(strings.Fields(f.Usage), " ")))
	}
	return append(lines, "version;"+c.Name, c.Name+" no such words")
}

// TestRights holds the whole command table against all roles: what a role may
// not run is refused before anything of it runs, by whatever way.
func TestRights(t *testing.T) {
	w, want := crewed(t), mayTable()
	ran := ""
	for _, c := range Table() {
		roles, ok := want[c.Name]
		if !ok {
			t.Errorf("%s: nobody has said who may run it: give it a line in rights.go and here", c.Name)
			continue
		}
		delete(want, c.Name)
		for role, letter := range letters() {
			env := w.env("u"+role.Group(), false)
			may := strings.Contains(roles, letter)
			if err := env.May(&c); (err == nil) != may {
				t.Errorf("%s, %s: %v", c.Name, role, err)
			}
			if may {
				continue
			}
			for _, line := range ways(c) {
				ran = ""
				screen := shelltest.NewScreen()
				screen.Plain = true
				sh := w.shell(env, screen)
				sh.Commands = harmless(Table(), &ran)
				status := sh.Exec(t.Context(), line)
				if ran != "" && ran != "version" || status != 1 || !strings.Contains(screen.String(), "You are not in the correct access group to use "+c.Name+".") {
					t.Errorf("%s, %q: ran %q, status %d\n%s", role, line, ran, status, screen)
				}
			}
			if slices.Contains(shell.Complete(shell.Permitted(Table(), env.May), c.Name), c.Name) {
				t.Errorf("%s, %s: it is completed", c.Name, role)
			}
			if strings.Contains("\n"+shell.HelpList(shell.Permitted(Table(), env.May)), "\n"+c.Name+" ") {
				t.Errorf("%s, %s: help lists it", c.Name, role)
			}
		}
	}
	for name := range want {
		t.Errorf("%s is no command", name)
	}
}

// TestRights_WhoMayNotCommit: nobody is told to use what his role has not.
func TestRights_WhoMayNotCommit(t *testing.T) {
	w := crewed(t)
	for group, want := range map[string]string{
		"readonly":  "Configuration changes have been dropped: your role may not commit them.\n",
		"operators": "Configuration changes were not committed and have been dropped. Use commit.\n",
	} {
		screen := shelltest.NewScreen()
		screen.Plain = true
		if status := w.shell(w.env("u"+group, false), screen).Exec(t.Context(), "sethostname mx.example.com"); status != 1 || screen.String() != want {
			t.Errorf("%s: status %d\n%s", group, status, screen)
		}
	}
}

// harmless gives commands that do nothing but tell that they ran.
func harmless(table []Command, ran *string) []Command {
	for i := range table {
		name := table[i].Name
		if table[i].Dialog != nil {
			table[i].Dialog = func(*Dialog, Env) error { *ran = name; return nil }
		}
		for j := range table[i].Forms {
			table[i].Forms[j].Run = func(*Dialog, Env, []string) error { *ran = name; return nil }
		}
	}
	return table
}

// TestRights_Present: the role counts that runs now, and a user who is gone may
// only leave.
func TestRights_Present(t *testing.T) {
	w := crewed(t)
	env := w.env("uoperators", true)
	command := func(name string) *Command { return shell.Lookup(Table(), name) }
	if err := env.May(command("commit")); err != nil {
		t.Fatal(err)
	}
	w.run(w.env("admin", true), "userconfig edit uoperators role=guest", "commit lowered")
	if err := env.May(command("commit")); err == nil {
		t.Error("a guest may commit")
	}
	w.run(w.env("admin", true), "userconfig delete uoperators", "commit gone")
	if err := env.May(command("status")); err == nil || env.May(command("exit")) != nil {
		t.Errorf("who is gone: status %v, exit %v", err, env.May(command("exit")))
	}
}

// TestRights_Files: by no form do files reach a role that has none.
func TestRights_Files(t *testing.T) {
	w := crewed(t)
	w.files["there"] = []byte("x")
	for role, letter := range letters() {
		files := w.env("u"+role.Group(), false).Files
		_, err := files.Read("there")
		for way, err := range map[string]error{
			"read": err, "write": files.Write("new", nil), "save": files.Save("new", func(io.Writer) error { return nil }),
		} {
			if may := strings.Contains("AOT", letter); (err == nil) != may {
				t.Errorf("%s, %s: %v", role, way, err)
			}
		}
	}
}
