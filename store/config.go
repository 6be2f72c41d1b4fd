// Package store keeps what is configured: one typed tree, and its life in one
// bbolt file as revisions and uncommitted edits.
//
// The life of a change, in order:
//
//	Session.Edit    changes a clone and keeps it as the session's pending configuration
//	Session.Merge   joins it with what others committed meanwhile, object by object
//	Config.Validate says everything that is wrong with the whole, and how to mend it
//	Store.Save      makes it the running revision: one transaction, checked against the merge
//
// A Config that was handed out is shared and is never written to: whoever
// changes something works on a Clone. Everything about the tree itself (copy,
// compare, merge, describe) walks the declarations of its sections, so that a
// new field needs no line anywhere else:
//
//	label:"TCP port"     the words showchanges uses
//	object:"listener"    the field is merged by itself; with a list, each element by its key
//	zero:"Default"       what showchanges calls an empty value
//	ordered:"true"       the sequence of the list has a meaning and is an object too
//	rights:"admin"       only Administrators commit changes of it; of Config's own fields
//
// Values are read at their section (ParseHostname, ParseRouteHosts, ...), once
// for dialogs, one-line forms and files, with the error texts of the appliance.
package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// Config is the whole configuration of a gateway.
type Config struct {
	Hostname       string            `label:"Hostname" object:"hostname"` // of the system: prompt, bounces, HELO without interface
	Interfaces     []Interface       `label:"IP interfaces" object:"interface"`
	Delivery       Delivery          `label:"Mail delivery" object:"delivery settings"`
	Queue          Queue             `label:"Queue" object:"queue settings"`
	Routes         []Route           `label:"SMTP routes" object:"route"`
	Destinations   Destinations      `label:"Destination controls" object:"destination controls"`
	DNS            DNS               `label:"DNS" object:"DNS settings"`
	DANE           DANE              `label:"DANE" object:"DANE settings"`
	Listeners      []Listener        `label:"Listeners" object:"listener"`
	Reception      Reception         `label:"Global listener settings" object:"global listener settings"`
	Exceptions     []Exception       `label:"Domain exception table" object:"domain exception" ordered:"true"`
	BounceProfiles []BounceProfile   `label:"Bounce profiles" object:"bounce profile"` // the first is Default
	BounceDown     bool              `label:"Bounce all messages of a domain whose host is down" object:"bounce setup"`
	Logs           []LogSubscription `label:"Log subscriptions" object:"log subscription"`
	LogSettings    LogSettings       `label:"Log settings" object:"log settings"`
	Certificates   []Certificate     `label:"Certificates" object:"certificate"`
	Authorities    Authorities       `label:"Certificate authorities" object:"certificate authorities"`
	Revocation     Revocation        `label:"Certificate revocation lists" object:"certificate revocation"`
	SSL            SSL               `label:"SSL settings" object:"SSL settings"`
	Alerts         Alerts            `label:"Alerts" object:"alert settings"`
	Users          []User            `label:"Users" object:"user" rights:"admin"`
	Passphrases    PassphrasePolicy  `label:"Passphrase policy" object:"passphrase policy" rights:"admin"`
	SSHD           SSHD              `label:"SSH server" object:"SSH server settings" rights:"admin"`
	AdminAccess    AdminAccess       `label:"Administrative access" object:"administrative access" rights:"admin"`
	Archives       []Archive         `label:"Configuration archives" object:"archive" rights:"admin"`
}

// Problem is one thing that is wrong, or dangerous, in a configuration.
type Problem struct {
	Place string // `listener "IncomingMail"`
	Text  string
	Fix   string // the command that mends it
}

func (p Problem) String() string {
	return fmt.Sprintf("%s: %s (%s)", p.Place, p.Text, p.Fix)
}

// problems collects what the sections find.
type problems []Problem

// at gives a function that reports for one place.
func (p *problems) at(place, fix string) func(format string, args ...any) {
	return func(format string, args ...any) {
		*p = append(*p, Problem{Place: place, Text: fmt.Sprintf(format, args...), Fix: fix})
	}
}

// Validate gives every reason why c cannot run, in the order of the sections.
// It is pure: what only the machine can tell (is the address there, the port
// free) is found when the gateway prepares the change.
func (c *Config) Validate() []Problem {
	var p problems
	if _, err := ParseHostname(c.Hostname); err != nil {
		p.at("hostname", "sethostname")("%v", err)
	}
	c.validateInterfaces(&p)
	c.validateDelivery(&p)
	c.validateRoutes(&p)
	c.validateDestinations(&p)
	c.validateDNS(&p)
	c.validateListeners(&p)
	c.validateReception(&p)
	c.validateExceptions(&p)
	c.validateBounceProfiles(&p)
	c.validateLogs(&p)
	c.validateCertificates(&p)
	c.validateAuthorities(&p)
	c.validateRevocation(&p)
	c.validateSSL(&p)
	c.validateAlerts(&p)
	c.validateArchives(&p)
	c.validateUsers(&p)
	c.validateSSHD(&p)
	c.validateAdminAccess(&p)
	return p
}

// Clone gives a copy that shares nothing with c. Empty lists become nil, so
// that equal configurations have one form.
func (c *Config) Clone() *Config {
	clone := *c
	separate(reflect.ValueOf(&clone).Elem())
	return &clone
}

// Equal reports whether two configurations say the same.
func (c *Config) Equal(other *Config) bool {
	return c == other || equal(reflect.ValueOf(c).Elem(), reflect.ValueOf(other).Elem())
}

// maxEncoded bounds what is read back as a configuration.
const maxEncoded = 64 << 20

// encode gives the one form a configuration is stored in.
func encode(c *Config) ([]byte, error) {
	data, err := json.Marshal(c.Clone())
	if err == nil && len(data) > maxEncoded {
		err = fmt.Errorf("larger than %d bytes", maxEncoded)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding configuration: %w", err)
	}
	return data, nil
}

// decode reads what encode wrote and nothing else: whatever would not be
// written in the same bytes again (an unknown or missing field, a duplicate,
// trailing text) is refused.
func decode(data []byte) (*Config, error) {
	if len(data) > maxEncoded {
		return nil, fmt.Errorf("decoding configuration: larger than %d bytes", maxEncoded)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var c Config
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("decoding configuration: %w", err)
	}
	again, err := encode(&c)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, data) {
		return nil, errors.New("decoding configuration: not in the form this program writes")
	}
	return &c, nil
}
