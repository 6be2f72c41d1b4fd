// Package configfile writes a configuration as a file and reads it back.
//
// The frame and the names of elements are those of the appliance whose files
// must be understood here, as far as they are known; what is ours has names in
// the same manner. The file is XML 1.0 (W3C, fifth edition), of a narrow kind:
//
//	decode      bytes to text: ISO-8859-1, US-ASCII or UTF-8, nothing else (encoding.go)
//	reader      text to elements: one strict pass, every error with line and column (reader.go)
//	element     what an element says of a part of the configuration, both ways (element.go)
//	sections    the table of all elements, in the order they are written (network.go, system.go,
//	            mail.go, delivery.go)
//	Keys        secrets: masked, encrypted or as they are (secrets.go)
//	places      where a file has what is found wrong with the whole (place.go)
//	leftOut     what a file of an appliance has and this build has not (foreign.go)
//
// An element that is there replaces what it is about, a list as a whole; what
// a file does not have stays as it is. So a file may be a part of a whole one.
// Nothing is half applied: with any error there is no result.
//
// What is written has no line that a program which talks to a command line
// could take for a prompt, and is plain ASCII: other characters are written as
// references.
package configfile

import (
	"bufio"
	"fmt"
	"io"
	"runtime"
	"time"

	"esa/store"
)

// MaxSize bounds a file that is read, in bytes.
const MaxSize = 64 << 20

// About is what the comment at the beginning of a file says of the gateway.
type About struct {
	Product  string
	Model    string
	Version  string
	Serial   string
	MemoryMB int
	Time     time.Time
}

// Secrets is what is written where a configuration has a secret.
type Secrets int

// The choices in the order of the appliance's question.
const (
	Masked    Secrets = iota // asterisks; such a file cannot be loaded
	Encrypted                // for who has the key
	Plain                    // as it is
)

// Options are how a configuration is written.
type Options struct {
	About   About
	Secrets Secrets
	Key     *Key // what Encrypted needs
}

// Write writes a whole configuration. Two writings of the same configuration
// differ in the line "Current Time:" only, if they are encrypted with the same
// Key or not at all. It fails if w does, and with a *TextError at a text that XML
// cannot hold.
func Write(w io.Writer, c *store.Config, o Options) error {
	out := &writer{out: bufio.NewWriter(w), secrets: o.Secrets, key: o.Key}
	out.head(o)
	for _, s := range sections() {
		out.title(s.title)
		for _, e := range s.elements {
			if e.written(c) {
				e.write(out, c)
			}
		}
	}
	out.level = 0
	out.line("</config>")
	if out.err == nil {
		out.err = out.out.Flush()
	}
	if out.err != nil {
		return fmt.Errorf("writing the configuration: %w", out.err)
	}
	return nil
}

// timeFormat is that of "Current Time:".
const timeFormat = time.ANSIC

// head writes what stands before the configuration (reference esa-operations
// 5.1). The comment ends on a line with other words: one of --> alone, with CR
// LF, is a prompt to a program that waits for one.
func (w *writer) head(o Options) {
	a := o.About
	w.line(`<?xml version="1.0" encoding="ISO-8859-1"?>`)
	w.line(`<!DOCTYPE config SYSTEM "config.dtd">`)
	w.line("")
	w.line("<!--")
	for _, field := range []struct {
		name  string
		value any
	}{
		{"Product", a.Product},
		{"Model Number", a.Model},
		{"Version", a.Version},
		{"Serial Number", a.Serial},
		{"Number of CPUs", runtime.NumCPU()},
		{"Memory (GB)", (a.MemoryMB + 512) / 1024},
		{"Current Time", a.Time.Format(timeFormat)},
	} {
		w.line(fmt.Sprintf("  %s: %v", field.name, field.value))
	}
	w.line("  Passphrases: " + o.secretsWord() + " -->")
	w.line("<config>")
}

// secretsWord says how the secrets of a file are written.
func (o Options) secretsWord() string {
	switch o.Secrets {
	case Encrypted:
		return "Encrypted " + o.Key.words()
	case Plain:
		return "Plain"
	}
	return "Masked"
}
