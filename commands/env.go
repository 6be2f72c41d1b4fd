// Package commands holds what an operator can type: one command a file, named
// as typed, and one list of all of them in the order of help (table.go).
//
// A command is a value: its name, help and one-line forms, and the function
// that is its dialog. Both the dialog and the one-line form fill the same part
// of a store.Config and end in Env.Edit, which keeps the result as the
// session's pending configuration; commit makes it run.
//
// Commands see the gateway only through the interfaces below, so that every
// dialog can be tested without one.
package commands

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"net/netip"
	"regexp"
	"time"

	"esa/mta/envelope"
	"esa/shell"
	"esa/store"
)

// Command, Form and Dialog are those of the shell for our environment.
type (
	Command = shell.Command[Env]
	Form    = shell.Form[Env]
	Dialog  = shell.Dialog
)

// Env is what a command may see and do. One is made for each session.
type Env struct {
	Who        store.Who
	Started    time.Time      // when the session began
	Idle       time.Duration  // how long the session may wait for its operator; 0: as long as it takes
	Session    *store.Session // its pending configuration
	Store      *store.Store   // running configuration and history
	Gateway    Gateway
	Look       Look
	TLS        TLS
	DNSSEC     DNSSEC
	DANE       DANE
	Revocation Revocation // the lists of revoked certificates at work
	Archives   Archives   // where committed configurations are copied to
	Mail       Mail
	Service    Service
	Logs       Logs
	Machine    Machine
	Files      Files
	Ciphers    Ciphers
	SSH        SSH
	Sessions   func() []SessionInfo
	Logins     func() []Login // the newest first
	Clock      func() time.Time
	NewKey     func(store.KeyType) (crypto.Signer, error)
	FileKey    func() ([]byte, error)                           // the secret of this gateway that configuration files are encrypted with
	Wait       func(ctx context.Context, d time.Duration) error // until d is over or ctx ends
	Version    Version

	Random        io.Reader // of cryptographic quality: salts and generated passphrases
	PassphraseDue bool      // it has to be changed before anything else; LoggedIn sets it
}

// Config is the configuration as this session has it: with its own pending
// edits. It is shared and must not be changed.
func (e Env) Config() *store.Config { return e.Session.Config() }

// Edit runs edit on a copy of the session's configuration and keeps the
// result as pending, unless edit fails.
func (e Env) Edit(edit func(*store.Config) error) error { return refused(e.Session.Edit(edit)) }

// refused makes the store's word on a value one that the operator sees as it
// is. What only wraps such a word is left alone: it says more.
func refused(err error) error {
	if value, ok := err.(store.ValueError); ok {
		return shell.Refusedf("%w", value)
	}
	return err
}

// Gateway is what commands ask of the gateway. Offline, Commit saves what the
// gateway will start with, and Status says Offline.
type Gateway interface {
	// Commit makes the session's pending configuration the running one. It
	// fails whole or not at all; errors are *store.ConflictError,
	// *store.RightsError, *store.CheckError, *store.AskError,
	// what store.CheckTurn gives, or a refusal fit for operators.
	Commit(ctx context.Context, r store.CommitRequest) (store.CommitReport, error)
	// ConfirmCommit keeps what a commit on trial made; RevertCommit takes it
	// back. Without one they fail with store.ErrNotAwaited.
	ConfirmCommit(ctx context.Context, who store.Who) (store.Confirmation, error)
	RevertCommit(ctx context.Context, who store.Who) (store.CommitReport, error)
	// Check does everything that Commit does up to the durable write.
	Check(ctx context.Context, r store.CommitRequest) (store.CommitReport, error)
	Status() Status
	// ProbeDNS asks a server whether it answers, within two seconds; the text
	// is for the operator.
	ProbeDNS(ctx context.Context, server netip.AddrPort) string
	// PublishedTLSA asks DNS for the TLSA records of the listeners, and holds
	// their certificates against them.
	PublishedTLSA(ctx context.Context, c *store.Config) []store.PublishedTLSA
	// MailHosts asks DNS whether the MX records of the domains that listeners
	// take mail for agree with the host names of their interfaces, within some
	// seconds. What could not be asked is told among the verdicts.
	MailHosts(ctx context.Context, c *store.Config) []store.Verdict
	// Alerts gives the alerts that are kept, the newest first; offline, those
	// that a gateway has left.
	Alerts() ([]Alert, error)
}

// Revocation is what commands ask of the revocation lists that run.
type Revocation interface {
	// RevocationLists tells of the lists of the running configuration; offline,
	// what a gateway has left of them.
	RevocationLists() []RevocationList
	// UpdateRevocationList fetches one of them now, within a minute or so.
	// Errors are *FetchError, whose text is in part the host's, or a refusal
	// fit for operators.
	UpdateRevocationList(ctx context.Context, name string) (RevocationList, error)
}

// RevocationList is the state of one revocation list.
type RevocationList struct {
	Name       string
	Fetched    time.Time // zero: there is none
	Issued     time.Time
	NextUpdate time.Time
	Entries    int
	Due        time.Time // of the next fetch; zero: now
	Failed     time.Time // zero: the last fetch did not
	Err        error     // why; its text is in part the host's
}

// Archives is what commands ask of the archives that run.
type Archives interface {
	// Archived tells of the archives of the running configuration; offline,
	// what a gateway has left of that.
	Archived() []ArchiveState
	// ArchiveNow has tried again what failed. It does not wait for it.
	ArchiveNow() error
	// HostKey asks a host for its key, within half a minute, and gives it with
	// its fingerprint. Errors are in part the host's.
	HostKey(ctx context.Context, address string) (key, fingerprint string, err error)
}

// ArchiveState is how one archive does.
type ArchiveState struct {
	Name     string
	Revision uint64    // copied last; 0: none
	At       time.Time // when; zero: never
	Passed   []uint64  // revisions that were passed over; the newest of many
	Err      error     // why the last attempt failed; its text is in part the host's
	Failed   time.Time
	Due      time.Time // of the next attempt, if Err
}

// ErrNotCommitted says that a list is not part of the running configuration.
var ErrNotCommitted = errors.New("it is not committed")

// FetchError says why a list could not be fetched.
type FetchError struct{ Err error }

func (e *FetchError) Error() string { return e.Err.Error() }
func (e *FetchError) Unwrap() error { return e.Err }

// Alert is one alert that was raised.
type Alert struct {
	At       time.Time
	Severity string // "Critical", "Warning", "Information"
	Text     string // in lines, printable
}

// Logs reads and rolls over log files by the name of their subscription.
type Logs interface {
	// Follow writes the last lines of a log and then new ones as they come,
	// until ctx ends.
	Follow(ctx context.Context, name string, w io.Writer) error
	// Grep writes the lines of all files of a log that match, oldest first,
	// and counts them.
	Grep(ctx context.Context, q GrepQuery, w io.Writer) (int, error)
	Rollover(name string) error
}

// GrepQuery is one search of a log.
type GrepQuery struct {
	Log        string
	Expression *regexp.Regexp
	Invert     bool // lines that do not match
	Context    int  // lines shown around a match
	Tail       bool // go on with new lines until Ctrl-C
}

// Machine is the system the gateway runs on.
type Machine interface {
	// Addresses lists the system's addresses with their network and device.
	Addresses() ([]Address, error)
	// Has says, by its error, that an address cannot be used here: decided by
	// binding it.
	Has(addr netip.Addr) error
	// Authorities lists the certificate authorities that the system trusts.
	Authorities() ([]*x509.Certificate, error)
}

// Address is one address of the system.
type Address struct {
	Prefix netip.Prefix
	Device string // "lo", "eth0"
}

// Files is the folder configuration/ of the data directory. Names are base
// names; others are refused.
type Files interface {
	Read(name string) ([]byte, error)
	Write(name string, data []byte) error
	// Save writes a file as write does, however long; it is there whole or
	// not at all.
	Save(name string, write func(io.Writer) error) error
	// SaveNew is Save for a file that replaces nothing: the error wraps
	// fs.ErrExist if something has the name, perhaps only since write ended.
	SaveNew(name string, write func(io.Writer) error) error
}

// Ciphers knows what TLS can speak. Each method gives a line for each cipher,
// its name first, and sentences that warn of what is old, weak or unknown.
type Ciphers interface {
	// Inbound and Outbound are what listeners and deliveries speak under a
	// method and an OpenSSL cipher string; empty is our own choice. The error
	// says why nothing could be spoken, in words fit for operators.
	Inbound(method, ciphers string) (lines, warnings []string, err error)
	Outbound(method, ciphers string) (lines, warnings []string, err error)
	// Verify is what a cipher string selects; errors as above.
	Verify(ciphers string) (lines, warnings []string, err error)
}

// SSH knows keys of SSH.
type SSH interface {
	// HostKeys lists the keys that clients know the gateway by. Where there are
	// none yet they are made, which takes a moment.
	HostKeys() ([]SSHKey, error)
	// ParseKey reads one public key, as authorized_keys or RFC 4716 have it;
	// errors are refusals fit for operators.
	ParseKey(text string) (SSHKey, error)
}

// SSHKey is a public key.
type SSHKey struct {
	Type        string // "ssh-ed25519"
	Bits        int    // of an RSA key, else 0
	Fingerprint string // "SHA256:..."
	Comment     string // printable
	Line        string // of authorized_keys
}

// SessionInfo is one session for `who`.
type SessionInfo struct {
	User    string
	Source  string
	Method  string // "cli", "batch", "exec"
	Started time.Time
	Idle    time.Duration
}

// Login is one session for `last`.
type Login struct {
	User    string
	Source  string
	Method  string
	In      time.Time
	Out     time.Time // zero: still logged in, or not known
	Unknown bool      // the gateway ended before the session did
}

// Version is what `version` shows.
type Version struct {
	Product   string
	Model     string
	Version   string
	Build     string    // version control's name for it
	Built     time.Time // zero: not known
	Installed time.Time
	Serial    string
	MemoryMB  int // of the machine
}

// Status is what `status` shows.
type Status struct {
	At           time.Time
	Since        time.Time
	LastReset    time.Time  // zero: never
	State        string     // "Online", "Offline"
	Suspended    Suspension // AllListeners also where each of them is named
	OldestMID    envelope.MID
	Oldest       time.Time          // zero: no message
	Counters     map[string]Counter // by their names in /xml/status: "inj_msgs"
	MID          envelope.MID
	ICID         envelope.ICID
	DCID         envelope.DCID
	Inbound      int
	Outbound     int
	Active       int   // recipients in the queue: the sum of the next two
	Unattempted  int   // wait for their first attempt
	Attempted    int   // wait for another
	Destinations int   // in memory
	KBUsed       int64 // of the queue
	KBFree       int64
	Rates        map[string]Rate // by the names of their counters
	Unbound      []string        // listeners that could not be bound, and why
	NoSSH        []string        // SSH ports that could not, and why
	Damaged      int             // messages set aside
	Unread       int             // messages that the start has not read yet, counted nowhere else
	Unreadable   int             // messages of a newer version, left alone
	Refusing     string          // why no mail is taken now; empty: it is
	Possible     int64           // recipients that "Possible Delivery" counted as delivered, since the start
	System       System
}

// System is how busy the machine is. What cannot be measured is not Known.
type System struct {
	RAM          Percent // of the machine's, that the gateway uses
	TotalCPU     Percent // of the machine's, since the last look
	CPU          Percent // of the machine's, that the gateway used since then
	DiskIO       Percent // of the time since then that the queue's disk was busy
	Conservation int     // 0: mail is taken; 999: refused for want of space
	LogUsed      Percent // of the file system of the logs
	LogFree      int64   // bytes there
}

// Percent is a share that may not be known.
type Percent struct {
	Known bool
	Value int
}

// Counter is one number of status since the last reset, since the start, and
// ever.
type Counter struct {
	Reset, Uptime, Lifetime int64
}
