package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The text form of the routing table, for import and export: one
// "domain: host[, host...]" a line, in the order of the table; lines that begin
// with # and empty ones are skipped.

// maxRouteErrors is how many lines an import complains about.
const maxRouteErrors = 10

// ParseRoutes reads a whole table. The error names each line that is wrong, as
// far as there are not too many; no routes come with it.
func ParseRoutes(r io.Reader) ([]Route, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, MaxRouteText+1024)
	var routes []Route
	var errs []error
	seen := map[string]bool{}
	number := 0
	for lines.Scan() {
		number++
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		route, err := parseRouteLine(text)
		if err == nil {
			err = duplicateRoute(seen, route.Domain)
		}
		switch {
		case err == nil && len(routes) == MaxRoutes:
			return nil, refuse("line %d: There is a maximum of %d routes.", number, MaxRoutes)
		case err == nil:
			routes = append(routes, route)
		case len(errs) == maxRouteErrors:
			return nil, errors.Join(append(errs, refuse("line %d and others: not shown", number))...)
		default:
			errs = append(errs, refuse("line %d: %v", number, err))
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		errs = append(errs, refuse("line %d: The line is too long.", number+1))
	} else if err != nil {
		errs = append(errs, fmt.Errorf("reading routes: %w", err))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return routes, nil
}

// parseRouteLine reads "domain: hosts". The colons of an address belong to it.
func parseRouteLine(text string) (Route, error) {
	at := max(strings.IndexByte(text, ']'), 0)
	if text[0] != '[' {
		at = 0
	}
	colon := strings.IndexByte(text[at:], ':')
	if colon < 0 {
		return Route{}, refuse("A line must be a domain, a colon and its destination hosts.")
	}
	domain, err := ParseRouteDomain(text[:at+colon])
	if err != nil {
		return Route{}, err
	}
	route, err := ParseRouteHosts(text[at+colon+1:])
	route.Domain = domain
	return route, err
}

// WriteRoutes writes what ParseRoutes reads.
func WriteRoutes(w io.Writer, routes []Route) error {
	b := bufio.NewWriter(w)
	for _, r := range routes {
		fmt.Fprintf(b, "%s: %s\n", r.Domain, r)
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("writing routes: %w", err)
	}
	return nil
}
