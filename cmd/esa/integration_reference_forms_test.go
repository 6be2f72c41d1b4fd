//go:build integration

package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// The parts of TestReference about menus, files and one-line forms.

// menus: the operations of the menus of 7.5, 7.8, 8, 9 and 4.7 that the set-up
// did not need.
func (r *reference) menus() {
	out := r.script(
		"listenerconfig", "edit", "IncomingMail", "hostaccess",
		"edit", "1", "GREETED", "new", "127.0.1.18", "move", "127.0.1.18", "REJECTED", "policy", "BANNER", "print", "rename", "HAILED", "said hello", "",
		"edit", "2", "BRIEF", "1", "n",
		"delete", "2", "GOAWAY", "y", // in use: it must be confirmed
		"delete", "1", "HAILED", "default", "", "", "", "", "n", "n", "n", "n", "n", "n", "n", "", "n", "n",
		"export", "incoming.hat", "", "",
		"edit", "IncomingMail", "rcptaccess", "edit", "busy@example.com", "1", "n", "n", "delete", "moved@example.com", "export", "incoming.rat", "import", "incoming.rat", "", "", "",
		"smtproutes", "edit", "slow.test", "", "add", "exchange.example.net", "", "print", "delete", "slow.test", "export", "routes.txt", "import", "routes.txt", "",
		"bounceconfig", "edit", "Fast", "", "2", "", "", "", "", "", "", "", "", "", "setup", "n", "",
		"destconfig", "edit", "slow.test", "", "", "", "", "", "", "", "", "", "", "", "default", "500", "n", "1", "1", "50", "1", "1", "2", "list", "detail", "ALL", "delete", "slow.test", "clear", "",
		"clear", "y",
	)
	for _, text := range []string{"GREETED:", "127.0.1.18", "slow.test -> 127.0.0.1:", "Maximum messages per connection: 2"} {
		if !strings.Contains(out, text) {
			r.t.Errorf("the screen has no %q", text)
		}
	}
	if r.t.Failed() {
		r.t.Logf("%s", out)
	}
}

// referenceHAT is the table that section 7.5 shows, to the letter.
const referenceHAT = `$ACCEPTED
    ACCEPT
$THROTTLED
    ACCEPT {
        spam_check = "on"
        max_msgs_per_session = 10
        max_concurrency = 10
        max_rcpts_per_msg = 25
        max_rcpts_per_hour = 1
        dhap_limit = 0
        virus_check = "on"
        max_message_size = 1048576
        use_sb = "on"
        tls = "off"
    }
$TRUSTED
    ACCEPT {
        spam_check = "off"
        max_msgs_per_session = 5000
        max_concurrency = 600
        max_rcpts_per_msg = 5000
        max_rcpts_per_hour = -1
        dhap_limit = 0
        virus_check = "on"
        max_message_size = 104857600
        use_sb = "off"
        tls = "off"
    }
$BLOCKED
    REJECT
WHITELIST:
        $TRUSTED (My trusted senders have no anti-spam scanning or rate limiting)
BLACKLIST:
        $BLOCKED (Spammers are rejected)
SUSPECTLIST:
        $THROTTLED (Suspicious senders are throttled)
UNKNOWNLIST:
        $ACCEPTED (Reviewed but undecided, continue normal acceptance)
spamdomain.com
    REJECT (reject the domain "spamdomain.com")
`

// referenceDestinations has the keys of section 4.9 but for the certificate.
const referenceDestinations = `[DEFAULT]
ip_sort_pref = PREFER_V6
max_host_concurrency = 500
max_messages_per_connection = 50
recipient_minutes = 60
recipient_limit = 5000
limit_type = host
limit_apply = system
bounce_validation = 0
table_tls = off
send_tls_req_alert = 0

[partner.test]
ip_sort_pref = REQUIRE_v4
max_host_concurrency = 3
max_messages_per_connection = 5
recipient_minutes = 60
recipient_limit = 100
limit_type = MXIP
limit_apply = VG
table_tls = 0
bounce_profile = Fast
`

// files: tables of an appliance are imported, and take effect.
func (r *reference) files() {
	for name, text := range map[string]string{
		"hat.txt": referenceHAT, "dest.ini": referenceDestinations,
		"routes.in": "example.net: exchange.example.net, mx2.example.net\n.example.net: USEDNS\n",
	} {
		if err := os.WriteFile(filepath.Join(r.dir, "configuration", name), []byte(text), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	out := r.script(
		fmt.Sprintf("listenerconfig new Imported public InternalNet smtp port=%d accept=example.com", freePort(r.t, "127.0.0.10")),
		"listenerconfig", "edit", "Imported", "hostaccess", "import", "hat.txt", "print", "", "", "",
		"destconfig", "import", "dest.ini", "detail", "partner.test", "",
		"smtproutes import routes.in", "smtproutes print",
		"listenerconfig edit Imported hostaccess edit sendergroup SUSPECTLIST host 127.0.1.30",
		"listenerconfig print", `commit "imported" Y`,
	)
	for _, text := range []string{"max_rcpts_per_msg = 25", `REJECT (reject the domain "spamdomain.com")`, "Maximum concurrent connections: 3",
		"example.net -> exchange.example.net, mx2.example.net"} {
		if !strings.Contains(out, text) {
			r.t.Errorf("the screen has no %q", text)
		}
	}
	port := regexp.MustCompile(`Imported \(on InternalNet, 127\.0\.0\.10\) SMTP TCP Port (\d+) Public`).FindStringSubmatch(out)
	if port == nil || r.t.Failed() {
		r.t.Fatalf("the listener is not listed:\n%s", out)
	}
	m := mailFrom(r.t, "127.0.1.30", netip.MustParseAddrPort("127.0.0.10:"+port[1]))
	m.begin("a@sender.test", "a@example.com")
	m.want("RCPT TO:<b@example.com>", "452 ") // SUSPECTLIST: one recipient an hour
	m.quit()
	r.logged(`ICID \d+ ACCEPT SG SUSPECTLIST match 127\.0\.1\.30 SBRS not enabled country not enabled`)
}

// batch: one-line forms of the reference (1.4, 4.8, 6, 7.7, 7.8, 8, 9), and
// those that scripts are known to use (esa-operations 1.5).
func (r *reference) batch() {
	out := r.script(
		"interfaceconfig new Data2 lo mx2.example.com --ip=127.0.0.11/8",
		"bounceconfig new Slow max_retries=3 max_queue_lifetime=1000 initial_retry=5 max_retry_timeout=10 send_bounces=yes use_dsn_bounce_format=yes",
		fmt.Sprintf("listenerconfig new Third public Data2 smtp port=%d", freePort(r.t, "127.0.0.11")),
		"listenerconfig edit Third hostaccess new policy SLOW ACCEPT --max_size 1M --max_conn 5 --max_msgs 6 --max_rcpt 7 --rate_lim 8 --dhap 9 --sig_bits 24",
		`listenerconfig edit Third hostaccess new policy HELLO ACCEPT --override mx3.example.com --cust_acc "Welcome" --acc_code 220 --cust_rej "Go" --rej_code 550`,
		"listenerconfig edit Third hostaccess new sendergroup SLOWLIST 10.1.1.0/24,.slow.example $SLOW",
		"listenerconfig edit Third hostaccess new sendergroup OWN 10.1.2.1 ACCEPT --max_conn 3 --rate_lim 20",
		`listenerconfig edit "Third" hostaccess edit sendergroup SLOWLIST new 10.1.3.1`,
		"listenerconfig edit Third hostaccess print",
		"listenerconfig edit Third hostaccess edit sendergroup SLOWLIST host 10.1.4.0/24",
		"listenerconfig edit Third hostaccess edit sendergroup SLOWLIST comment \"slow ones\"",
		"listenerconfig edit Third hostaccess edit sendergroup SLOWLIST name SLOWER",
		"listenerconfig edit Third hostaccess edit sendergroup SLOWER behavior REJECT",
		"listenerconfig edit Third hostaccess move SLOWER WHITELIST",
		"listenerconfig edit Third hostaccess edit default --max_msgs 20",
		"listenerconfig edit Third hostaccess list",
		"listenerconfig edit Third hostaccess export third.hat",
		"listenerconfig edit Third hostaccess import third.hat",
		"listenerconfig edit Third hostaccess delete sendergroup SLOWER",
		"listenerconfig edit Third hostaccess delete policy SLOW",
		"listenerconfig edit Third rcptaccess new example.net --action accept",
		"smtproutes new batch.test exchange.example.net/pri=5 [192.0.2.1]:26",
		"smtproutes edit batch.test USEDNS",
		"smtproutes delete batch.test",
		"destconfig new batch.test concurrency_limit=5 concurrency_limit_type=host concurrency_limit_apply=system max_messages_per_connection=10 recipient_limit_minutes=10 recipient_limit=100 bounce_profile=Slow ip_sort_pref=PREFER_V6",
		"destconfig list", "destconfig detail batch.test", "destconfig detail default", "destconfig export dest.ini", "destconfig import dest.ini",
		"destconfig delete batch.test",
		"bounceconfig edit Slow bounce_subject=Returned",
		`commit "batch" Y`,
		"tophosts active_rcpts", "workqueue status", "version", "status detail",
		"grep Receiving mail_logs", `grep -e "Too Many" -e RELAY mail_logs`,
		"listenerconfig delete Third", `commit "gone"`, "rollovernow mail_logs",
	)
	for _, text := range []string{"max_rcpts_per_hour = 8", "dhap_limit = 9", "significant_bits = 24", "10.1.3.1", "slow ones",
		"Hosts marked with '*' were down as of the last delivery attempt.", "Receiving Failed: Too Many Messages"} {
		if !strings.Contains(out, text) {
			r.t.Errorf("the screen has no %q", text)
		}
	}
	if r.t.Failed() {
		r.t.Logf("%s", out)
	}
}
