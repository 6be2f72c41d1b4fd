package alert

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestCertificateEnds moves the clock an hour at a time over the end of a
// certificate, with a restart at each step: one alert for each of the days,
// none twice.
func TestCertificateEnds(t *testing.T) {
	h := newHarness(t)
	h.set.Certificates = []Certificate{
		{Name: "mail", Fingerprint: "f1", CommonName: "mail.example.com", NotAfter: epoch.Add(40*day + time.Hour/2), Uses: []string{`listener "IncomingMail"`, "mail delivery"}},
		{Name: "spare", Fingerprint: "f2", CommonName: "spare.example.com", NotAfter: epoch.Add(41 * day)},
		{Name: "far", Fingerprint: "f3", NotAfter: epoch.Add(400 * day)},
	}
	var got []string
	for range 24 * 44 {
		h.restart()
		for _, subject := range subjects(h.after(time.Hour)) {
			_, text, _ := strings.Cut(subject, "certificate ")
			got = append(got, fmt.Sprintf("day %d: %s", h.now.Sub(epoch)/day, text))
		}
	}
	want := []string{
		`day 10: "mail" expires in 30 days.`, `day 11: "spare" expires in 30 days.`,
		`day 25: "mail" expires in 15 days.`, `day 26: "spare" expires in 15 days.`,
		`day 35: "mail" expires in 5 days.`, `day 36: "spare" expires in 5 days.`,
		`day 36: "mail" expires in 4 days.`, `day 37: "spare" expires in 4 days.`,
		`day 37: "mail" expires in 3 days.`, `day 38: "spare" expires in 3 days.`,
		`day 38: "mail" expires in 2 days.`, `day 39: "spare" expires in 2 days.`,
		`day 39: "mail" expires within one day.`, `day 40: "spare" expires within one day.`,
		// What is used is told of every day, what is not once.
		`day 40: "mail" has expired.`, `day 41: "spare" has expired.`,
		`day 41: "mail" has expired.`, `day 42: "mail" has expired.`, `day 43: "mail" has expired.`,
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestCertificateText(t *testing.T) {
	h := newHarness(t)
	h.set.Certificates = []Certificate{{Name: "mail", Fingerprint: "f1", CommonName: "a\nb", NotAfter: epoch.Add(-time.Hour), Uses: []string{`listener "IncomingMail"`}}}
	h.Configure(h.set)
	mails := h.after(0)
	h.wantCount("expired", mails, 1)
	for _, want := range []string{
		"Subject: Critical <System> gw.example.com: The certificate \"mail\" has expired.\r\n",
		"\r\nCommon name: a\\nb\r\nNot valid after: Mon Mar  2 08:30:00 2026 GMT\r\nUsed by: listener \"IncomingMail\"\r\nUse certconfig -> CERTIFICATE -> EDIT ",
	} {
		if !strings.Contains(mails[0], want) {
			t.Errorf("%q is not in\n%s", want, mails[0])
		}
	}
}

// TestReplacedCertificate: its successor is told of anew, and one that was
// renewed in time is not told of.
func TestReplacedCertificate(t *testing.T) {
	h := newHarness(t)
	c := Certificate{Name: "mail", Fingerprint: "f1", NotAfter: epoch.Add(4 * day)}
	h.set.Certificates = []Certificate{c}
	h.Configure(h.set)
	h.wantCount("near its end", h.after(0), 1)
	c.Fingerprint, c.NotAfter = "f2", epoch.Add(90*day)
	h.set.Certificates = []Certificate{c}
	h.Configure(h.set)
	h.wantCount("renewed", h.after(5*day), 0)
	h.wantCount("near its end again", h.after(80*day), 1)
	h.set.Certificates = []Certificate{{Name: "Example CA", Authority: true, Fingerprint: "f3", NotAfter: h.now.Add(85 * day)}}
	h.Configure(h.set)
	mails := h.after(0)
	h.wantCount("an authority is told of earlier", mails, 1)
	if !strings.Contains(mails[0], "The certificate authority \"Example CA\" expires in 85 days.") || !strings.Contains(mails[0], "CERTAUTHORITY") {
		t.Errorf("%s", mails[0])
	}
	h.set.Certificates = nil
	h.Configure(h.set)
	h.wantCount("deleted", h.after(80*day), 0)
	if len(h.state.Told) != 0 {
		t.Errorf("remembered: %v", h.state.Told)
	}
}

// TestCertificateInTwoProfiles: that a copy which nothing uses was told of does
// not keep back what is in use, nor that of an authority.
func TestCertificateInTwoProfiles(t *testing.T) {
	h := newHarness(t)
	h.set.Certificates = []Certificate{
		{Name: "copy", Fingerprint: "f1", NotAfter: epoch.Add(4 * day)},
		{Name: "mail", Fingerprint: "f1", NotAfter: epoch.Add(4 * day), Uses: []string{"mail delivery"}},
		{Name: "mail", Authority: true, Fingerprint: "f1", NotAfter: epoch.Add(4 * day)},
	}
	h.Configure(h.set)
	mails := h.after(0)
	h.wantCount("all", mails, 3)
	if all := strings.Join(mails, ""); !strings.Contains(all, `"copy" expires in 4 days`) || !strings.Contains(all, `"mail" expires in 4 days`) {
		t.Error(all)
	}
	h.wantCount("told of once", h.after(time.Hour), 0)
}
