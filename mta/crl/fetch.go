package crl

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Bounds of one fetch.
const (
	fetchTime    = 30 * time.Second
	maxRedirects = 3
	maxValidator = 1024 // bytes of an ETag that is kept
)

// fetched is what a fetch came to: a list and, unless it is the one that was
// there, its text.
type fetched struct {
	list *list
	text []byte
}

// bounded is a client with the bounds of this package.
func bounded(c *http.Client) *http.Client {
	own := http.Client{}
	if c != nil {
		own = *c
	}
	own.Timeout = fetchTime
	own.CheckRedirect = func(r *http.Request, before []*http.Request) error {
		if len(before) > maxRedirects {
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		if r.URL.Scheme != "http" && r.URL.Scheme != "https" {
			return fmt.Errorf("redirected to a URL of scheme %q", r.URL.Scheme)
		}
		return nil
	}
	return &own
}

// fetch asks the URLs of a source in turn for a list that is good, and not
// older than the one that is there. The error tells of all of them.
func (l *Lists) fetch(ctx context.Context, from Source, old *list, known []*x509.Certificate) (fetched, error) {
	got, err := l.ask(ctx, from.URL, trial{from.Name, old, known})
	if err != nil && from.Further != "" && ctx.Err() == nil {
		var further error
		if got, further = l.ask(ctx, from.Further, trial{from.Name, old, known}); further != nil {
			err = fmt.Errorf("%w; from the further URL: %w", err, further)
		} else {
			err = nil
		}
	}
	return got, err
}

// trial is what a list that comes is compared with.
type trial struct {
	name  string // of its source
	old   *list  // the one that is there, or nil
	known []*x509.Certificate
}

// ask fetches from one URL.
func (l *Lists) ask(ctx context.Context, address string, t trial) (fetched, error) {
	old := t.old
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fetched{}, err
	}
	if old != nil && old.from.URL == address {
		if old.from.ETag != "" {
			request.Header.Set("If-None-Match", old.from.ETag)
		}
		if old.from.Modified != "" {
			request.Header.Set("If-Modified-Since", old.from.Modified)
		}
	}
	response, err := l.o.HTTP.Do(request)
	if err != nil {
		return fetched{}, err
	}
	defer response.Body.Close()
	now := l.o.Clock()
	switch {
	case response.StatusCode == http.StatusNotModified && old != nil:
		if old.nextUpdate.Before(now) {
			return fetched{}, fmt.Errorf("it is outdated, and unchanged: its next update was due at %s", moment(old.nextUpdate))
		}
		return fetched{list: old}, nil
	case response.StatusCode != http.StatusOK:
		return fetched{}, fmt.Errorf("the host answered %d", response.StatusCode)
	case response.ContentLength > maxList:
		return fetched{}, errTooLarge
	}
	text, err := readBounded(response.Body)
	if err != nil {
		return fetched{}, err
	}
	next, err := read(text, t.known, now)
	if err != nil {
		return fetched{}, err
	}
	// An old list would make valid again what was revoked since.
	if old != nil && next.authority.Equal(old.authority) && next.issued.Before(old.issued) {
		return fetched{}, errors.New("it is older than the list that is there, of " + moment(old.issued))
	}
	next.name = t.name
	next.from = validator{URL: address, ETag: short(response.Header.Get("ETag")), Modified: short(response.Header.Get("Last-Modified")), Fetched: now}
	return fetched{next, text}, nil
}

// short drops what is too long to be worth keeping.
func short(text string) string {
	if len(text) > maxValidator {
		return ""
	}
	return text
}
