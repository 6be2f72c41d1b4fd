package mta

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
	"testing"

	"esa/mta/envelope"
	"esa/store"
)

func letterTo(t *testing.T, addresses ...string) Letter {
	t.Helper()
	l := Letter{Subject: "Configuration of gw.test", Text: "Here it is.\n", FileName: "a.xml", File: bytes.Repeat([]byte("<config/>\n"), 100)}
	for _, text := range addresses {
		a, err := envelope.ParseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		l.To = append(l.To, a)
	}
	return l
}

// TestSendLetter: a letter goes the way of all mail, and its file comes out as
// it went in.
func TestSendLetter(t *testing.T) {
	w := newWorld(t, func(w *world, c *store.Config) { tellOps(c) })
	w.run()
	l := letterTo(t, "ops@example.test", "admin@example.test")
	mid, err := w.gateway.SendLetter(l)
	if err != nil || mid == 0 {
		t.Fatalf("MID %d, %v", mid, err)
	}
	got := alertMail(t, w.hop, "Subject: Configuration of gw.test\r\n")
	if got.From != "<alert@gw.test>" || strings.Join(got.To, " ") != "<ops@example.test> <admin@example.test>" {
		t.Errorf("%+v", got)
	}
	m, err := mail.ReadMessage(strings.NewReader(got.Text))
	if err != nil {
		t.Fatal(err)
	}
	if to, err := m.Header.AddressList("To"); err != nil || len(to) != 2 {
		t.Errorf("%v, %v", to, err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	text, err := parts.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(text); err != nil || string(body) != "Here it is.\r\n" {
		t.Errorf("%q, %v", body, err)
	}
	file, err := parts.NextPart()
	if err != nil || file.FileName() != "a.xml" {
		t.Fatalf("%v", err)
	}
	if body, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, file)); err != nil || !bytes.Equal(body, l.File) {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	for line := range strings.Lines(got.Text) {
		if len(line) > 80 {
			t.Errorf("a line of %d characters", len(line))
		}
	}
	await(t, "the log", func() bool {
		log := w.mailLog()
		return strings.Contains(log, "From: <alert@gw.test>") && strings.Contains(log, "RID 1 To: <admin@example.test>")
	})
}

// TestSendLetter_From is the address of alerts, where there is one.
func TestSendLetter_From(t *testing.T) {
	w := newWorld(t, func(w *world, c *store.Config) {
		tellOps(c)
		c.Alerts.From = "gateway@example.test"
	})
	w.run()
	if _, err := w.gateway.SendLetter(letterTo(t, "grüße@example.test")); err != nil {
		t.Fatal(err)
	}
	await(t, "the message", func() bool { return strings.Contains(w.mailLog(), "From: <gateway@example.test>") })
}

func TestSendLetter_Offline(t *testing.T) {
	w := newWorld(t, func(w *world, c *store.Config) { tellOps(c) })
	if _, err := Offline(w.options()).SendLetter(letterTo(t, "ops@example.test")); !errors.Is(err, ErrOffline) {
		t.Errorf("%v", err)
	}
}
