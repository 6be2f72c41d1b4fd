//go:build integration

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// postfix is an instance of Postfix of our own: its own configuration, queue
// and ports, nothing of the machine's.
type postfix struct {
	dir  string
	port int
	box  string // folder with the mail it delivered, one file a message
}

// startPostfix runs Postfix on 127.0.0.3. It delivers mail for in.example
// into a folder and sends everything else to the gateway.
func startPostfix(t *testing.T, gatewayPort int) *postfix {
	t.Helper()
	need(t, "postfix", "postconf")
	if os.Geteuid() != 0 {
		t.Skip("Postfix has to be started as root")
	}
	// Postfix's programs run as its own user: the folders above must let it in.
	dir, err := os.MkdirTemp("/var/tmp", "esa-postfix")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &postfix{dir: dir, port: freePort(t, "127.0.0.3"), box: filepath.Join(dir, "mail", "box", "new")}
	for _, folder := range []string{"etc", "queue", "data", "mail"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.command(t, "chmod", "755", dir)
	p.command(t, "chown", "nobody", filepath.Join(dir, "mail"))
	p.command(t, "chown", "postfix", filepath.Join(dir, "data"))
	p.configure(t, gatewayPort)
	p.command(t, "postfix", "-c", filepath.Join(dir, "etc"), "start")
	t.Cleanup(func() { p.command(t, "postfix", "-c", filepath.Join(dir, "etc"), "stop") })
	return p
}

func (p *postfix) configure(t *testing.T, gatewayPort int) {
	t.Helper()
	main := fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file = %[1]s/data/log
maillog_file_prefixes = %[1]s
myhostname = postfix.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = loopback-only
inet_protocols = ipv4
smtp_bind_address = 127.0.0.3
virtual_mailbox_domains = in.example
virtual_mailbox_base = %[1]s/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
relayhost = [127.0.0.2]:%[2]d
smtpd_relay_restrictions = permit_mynetworks, reject
disable_dns_lookups = yes
`, p.dir, gatewayPort)
	master, err := exec.Command("postconf", "-M").Output()
	if err != nil {
		t.Fatalf("reading master.cf: %v", err)
	}
	// The services as Debian ships them, with our port and without chroot.
	var services strings.Builder
	for line := range strings.Lines(string(master)) {
		fields := strings.Fields(line)
		if len(fields) < 8 {
			continue
		}
		if fields[0] == "smtp" && fields[1] == "inet" {
			fields[0] = fmt.Sprintf("127.0.0.3:%d", p.port)
		}
		fields[4] = "n"
		services.WriteString(strings.Join(fields, " ") + "\n")
	}
	if !strings.Contains(services.String(), "postlog") {
		services.WriteString("postlog unix-dgram n - n - 1 postlogd\n")
	}
	for name, text := range map[string]string{"main.cf": main, "master.cf": services.String()} {
		if err := os.WriteFile(filepath.Join(p.dir, "etc", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// command runs a program that must work.
func (p *postfix) command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		log, _ := os.ReadFile(filepath.Join(p.dir, "data", "log"))
		t.Fatalf("%s %s: %v\n%s\n%s", name, strings.Join(args, " "), err, out, log)
	}
}

// swaks sends one message with a subject to a server.
func swaks(t *testing.T, server string, to, subject string) {
	t.Helper()
	need(t, "swaks")
	out, err := exec.Command("swaks", "--server", server, "--from", "sender@example.org", "--to", to,
		"--header", "Subject: "+subject, "--body", "a line\n.a dot\nlast").CombinedOutput()
	if err != nil {
		t.Fatalf("swaks: %v\n%s", err, out)
	}
}

// found reports whether a file of the folder holds the text.
func found(t *testing.T, folder, text string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(data), text) {
			return true
		}
	}
	return false
}

// TestPostfix: Postfix as next hop and as sender.
//
//	swaks ─► gateway ─► Postfix ─► folder
//	swaks ─► Postfix ─► gateway ─► smtp-sink
func TestPostfix(t *testing.T) {
	port, sinkPort := listenPort(t), freePort(t, "127.0.0.1")
	folder := startSink(t, sinkPort)
	peer := startPostfix(t, port)
	g := startGateway(t, t.TempDir())
	g.script(relayScript(port, sinkPort)...)
	g.script(fmt.Sprintf("smtproutes new in.example [127.0.0.3]:%d", peer.port), `commit "postfix"`)

	swaks(t, fmt.Sprintf("127.0.0.2:%d", port), "user@in.example", "through the gateway to Postfix")
	waitFor(t, "the message in Postfix's folder", func() bool {
		return found(t, peer.box, "Subject: through the gateway to Postfix")
	})
	if !found(t, peer.box, "\n.a dot\n") {
		t.Error("the line that begins with a dot did not arrive as it was sent")
	}
	swaks(t, fmt.Sprintf("127.0.0.3:%d", peer.port), "user@out.example", "from Postfix through the gateway")
	waitFor(t, "the message at the sink", func() bool {
		return found(t, folder, "Subject: from Postfix through the gateway")
	})

	g.stop()
}
