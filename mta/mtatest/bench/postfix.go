package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"esa/mta/mtatest/smtpload"
)

// postfix is an instance of Postfix with its own configuration and queue,
// nothing of the machine's.
type postfix struct {
	dir   string
	ports ports
}

func newPostfix(dir string, ports ports) (*postfix, error) {
	p := &postfix{dir: dir, ports: ports}
	for _, folder := range []string{"", "etc", "queue", "data"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			return nil, err
		}
	}
	if out, err := exec.Command("chown", "postfix", filepath.Join(dir, "data")).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("giving Postfix its directory: %w\n%s", err, out)
	}
	return p, p.configure(true)
}

// configure writes its configuration, with the queue manager or without it:
// then mail that is taken stays in the queue.
func (p *postfix) configure(manager bool) error {
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
relayhost = [127.0.0.1]:%[2]d
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
disable_dns_lookups = yes
message_size_limit = 104857600
in_flow_delay = 0
default_process_limit = 250
default_destination_concurrency_limit = 100
initial_destination_concurrency = 100
smtp_connection_cache_destinations = [127.0.0.1]:%[2]d
qmgr_message_active_limit = 50000
`, p.dir, p.ports.sink)
	shipped, err := exec.Command("postconf", "-M").Output()
	if err != nil {
		return fmt.Errorf("reading master.cf: %w", err)
	}
	var services strings.Builder
	for line := range strings.Lines(string(shipped)) {
		fields := strings.Fields(line)
		if len(fields) < 8 || fields[0] == "qmgr" && !manager {
			continue
		}
		if fields[0] == "smtp" && fields[1] == "inet" {
			fields[0] = fmt.Sprintf("127.0.0.1:%d", p.ports.own)
		}
		fields[4] = "n" // no chroot
		services.WriteString(strings.Join(fields, " ") + "\n")
	}
	for name, text := range map[string]string{"main.cf": main, "master.cf": services.String()} {
		if err := os.WriteFile(filepath.Join(p.dir, "etc", name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (p *postfix) name() string   { return "Postfix" }
func (p *postfix) daemon() string { return "master" }

func (p *postfix) command() *exec.Cmd {
	return exec.Command("postfix", "-c", filepath.Join(p.dir, "etc"), "start-fg")
}

func (p *postfix) peak(of *process) int64 { return of.memory() }

func (p *postfix) fill(ctx context.Context, messages int) (err error) {
	if err := p.configure(false); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.configure(true)) }()
	addr := p.ports.address()
	r, err := start(ctx, p, addr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	_, err = smtpload.Load{Addr: addr, Sessions: 20, Messages: messages, Size: 1 << 10}.Send(ctx)
	return err
}
