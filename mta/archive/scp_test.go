package archive

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// host is an SSH server with an scp of a few lines.
type host struct {
	address string
	key     string // its public key
	mu      sync.Mutex
	files   map[string]string // what came, by directory and name
	refuse  string            // how it answers the line of a file, or ""
	silent  chan struct{}     // not nil: it says nothing until this is closed
}

// newKey makes a key in PEM, and its signer.
func newKey(t *testing.T) (string, ssh.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), signer
}

// startHost lets in who has the key of client.
func startHost(t *testing.T, client ssh.Signer) *host {
	t.Helper()
	_, signer := newKey(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{address: l.Addr().String(), key: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))), files: map[string]string{}}
	config := &ssh.ServerConfig{PublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if meta.User() != "backup" || string(key.Marshal()) != string(client.PublicKey().Marshal()) {
			return nil, errors.New("not you")
		}
		return nil, nil
	}}
	config.AddHostKey(signer)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { h.serve(conn, config) })
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return h
}

func (h *host) serve(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	h.mu.Lock()
	silent := h.silent
	h.mu.Unlock()
	if silent != nil {
		<-silent
		return
	}
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			var line struct{ Command string }
			_ = ssh.Unmarshal(r.Payload, &line)
			_ = r.Reply(r.Type == "exec", nil)
			status := h.scp(channel, line.Command)
			_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
			channel.Close()
		}
	}
}

// scp takes one file as scp -t does.
func (h *host) scp(c ssh.Channel, command string) uint32 {
	dir, ok := strings.CutPrefix(command, "scp -t -- ")
	if !ok {
		fmt.Fprintf(c.Stderr(), "sh: %s: not found\n", command)
		return 127
	}
	in := bufio.NewReader(c)
	c.Write([]byte{0})
	line, err := in.ReadString('\n')
	if err != nil {
		return 1
	}
	if h.refuse != "" {
		io.WriteString(c, h.refuse)
		return 1
	}
	c.Write([]byte{0})
	var size int
	var name string
	if _, err := fmt.Sscanf(line, "C0600 %d %s\n", &size, &name); err != nil {
		return 1
	}
	data := make([]byte, size+1)
	if _, err := io.ReadFull(in, data); err != nil || data[size] != 0 {
		return 1
	}
	h.mu.Lock()
	h.files[dir+"/"+name] = string(data[:size])
	h.mu.Unlock()
	c.Write([]byte{0})
	if _, err := in.ReadByte(); err != io.EOF {
		return 1
	}
	return 0
}

// remote is a world with a place on a host.
func remote(t *testing.T) (*world, *host, Place) {
	t.Helper()
	text, signer := newKey(t)
	h := startHost(t, signer)
	place := Place{Name: "far", Directory: "/var/backups", Address: h.address, User: "backup", HostKey: h.key, Key: text}
	return newWorld(t, filepath.Join(t.TempDir(), "archived")), h, place
}

func TestCopiesToAHost(t *testing.T) {
	w, h, place := remote(t)
	w.commit(place)
	w.commit(place)
	w.copied("far", 8)
	h.mu.Lock()
	defer h.mu.Unlock()
	for revision, want := range map[string]string{"000007": "<config>far 7</config>\n", "000008": "<config>far 8</config>\n"} {
		if got := h.files["/var/backups/mail.example.com-"+revision+".xml"]; got != want {
			t.Errorf("%s: %q", revision, got)
		}
	}
}

func TestWhatAHostMayDo(t *testing.T) {
	other, _ := newKey(t)
	for name, tt := range map[string]struct {
		change func(*host, *Place)
		want   string
	}{
		"another key": {func(h *host, p *Place) {
			_, k := newKey(t)
			p.HostKey = string(ssh.MarshalAuthorizedKey(k.PublicKey()))
		}, "another key than the configured one: SHA256:"},
		"does not know us":  {func(_ *host, p *Place) { p.Key = other }, "unable to authenticate"},
		"another user":      {func(_ *host, p *Place) { p.User = "root" }, "unable to authenticate"},
		"refuses the file":  {func(h *host, _ *Place) { h.refuse = "\x01scp: /var/backups: No such file or directory\n" }, "the host says: scp: /var/backups: No such file"},
		"an endless answer": {func(h *host, _ *Place) { h.refuse = "\x02" + strings.Repeat("x", 100000) }, "the host says: xxx"},
		"is no scp":         {func(h *host, _ *Place) { h.refuse = "Welcome!\n" }, "the host says: Welcome!"},
		"is not there":      {func(_ *host, p *Place) { p.Address = "127.0.0.1:1" }, "connection refused"},
		"our key is none":   {func(_ *host, p *Place) { p.Key = "x" }, "private key cannot be read"},
		"its key is none":   {func(_ *host, p *Place) { p.HostKey = "x" }, "reading the host key"},
	} {
		t.Run(name, func(t *testing.T) {
			w, h, place := remote(t)
			tt.change(h, &place)
			w.commit(place)
			s := w.awaitFailure()
			if !strings.Contains(s.Err.Error(), tt.want) || len(s.Err.Error()) > 2000 {
				t.Errorf("%.300s", s.Err)
			}
			if strings.Contains(s.Err.Error(), "PRIVATE") || len(h.files) > 0 {
				t.Errorf("said %s, came %v", s.Err, h.files)
			}
		})
	}
}

// A host that says nothing is left when the gateway ends.
func TestSilentHost(t *testing.T) {
	w, h, place := remote(t)
	h.mu.Lock()
	h.silent = make(chan struct{})
	h.mu.Unlock()
	defer close(h.silent)
	w.commit(place)
	w.end()
	if len(w.failed) > 0 {
		t.Errorf("the end is told as a failure: %+v", <-w.failed)
	}
}

func TestHostKeyIsSeen(t *testing.T) {
	w, h, _ := remote(t)
	key, fingerprint, err := w.HostKey(t.Context(), h.address)
	if err != nil || key != h.key || !strings.HasPrefix(fingerprint, "SHA256:") {
		t.Errorf("%q, %q, %v", key, fingerprint, err)
	}
	if _, _, err := w.HostKey(t.Context(), "127.0.0.1:1"); err == nil {
		t.Error("a host that is not there has a key")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("interrupted"))
	if _, _, err := w.HostKey(ctx, h.address); err == nil || err.Error() != "interrupted" {
		t.Errorf("interrupted: %v", err)
	}
}
