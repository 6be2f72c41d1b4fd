package configfile

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"esa/store"
)

// ReadOptions are how a file is read.
type ReadOptions struct {
	Product string // what our own files say of their product
	Pasted  bool   // the text is UTF-8, whatever it declares
	Keys    Keys
}

// Result is what a file came to.
type Result struct {
	Config *store.Config
	Notes  []string // what was left out or changed, and why

	text   []byte
	places places
}

// Bounds of a file.
const (
	maxDepth      = 16 // of elements; ours have 6
	maxAttributes = 8  // of an element; ours have 1
	maxDoctype    = 200
	maxErrors     = 10 // that are told
	maxNotes      = 100
)

// Read reads a file, or a part of one, over a configuration: base stays as it
// is. The error joins *Error values, one for each thing that is wrong as far as
// there are not too many; it is ErrPassphrase, wrapped, where a passphrase does
// not open the file, and the cause of ctx where that ended first. The result was
// not validated as a whole: Fault gives the place of what store finds.
func Read(ctx context.Context, data []byte, base *store.Config, o ReadOptions) (Result, error) {
	text, err := decode(data, o.Pasted)
	if err != nil {
		return Result{}, err
	}
	d := xml.NewDecoder(bytes.NewReader(text))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // decode did it
	r := &reader{ended: ctx.Done(), d: d, text: text, opener: opener{keys: o.Keys}, product: o.Product, places: newPlaces()}
	config := base.Clone()
	r.document(func() { readFields(r, allElements(), config) })
	if err := context.Cause(ctx); err != nil {
		return Result{}, err
	}
	if len(r.errs) > 0 {
		return Result{}, errors.Join(r.errs...)
	}
	return Result{Config: config.Clone(), Notes: r.notes, text: text, places: r.places}, nil
}

// allElements are those of all sections.
func allElements() []element[store.Config] {
	var all []element[store.Config]
	for _, s := range sections() {
		all = append(all, s.elements...)
	}
	return all
}

// reader reads tokens and holds them to the narrow kind of XML that a file
// is. After an error in the form of the document it is over: token gives nil.
type reader struct {
	ended   <-chan struct{} // closed: nobody wants the result
	d       *xml.Decoder
	text    []byte
	at      int64 // of the last token
	over    bool
	errs    []error
	notes   []string
	path    []string          // names of the open elements
	product string            // ours
	foreign bool              // the comment at the beginning names another product
	absent  map[string]string // leftOut, made once
	opener  opener
	places  places
}

// tag is a start tag, and where it is.
type tag struct {
	name       string
	attributes []xml.Attr
	at         int64
}

// refuse notes that a value is wrong; reading goes on.
func (r *reader) refuse(at int64, format string, args ...any) {
	if len(r.errs) < maxErrors && !r.over {
		r.errs = append(r.errs, errorAt(r.text, at, format, args...))
	}
}

// stop refuses the document.
func (r *reader) stop(at int64, format string, args ...any) {
	r.refuse(at, format, args...)
	r.over = true
}

// note tells, once, what was left out or changed.
func (r *reader) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(r.notes) < maxNotes && !slices.Contains(r.notes, text) {
		r.notes = append(r.notes, text)
	}
}

// token gives the next token but for comments, nil at the end and after an
// error.
func (r *reader) token() xml.Token {
	for !r.over {
		select {
		case <-r.ended:
			r.over = true
			return nil
		default:
		}
		r.at = r.d.InputOffset()
		t, err := r.d.Token()
		var syntax *xml.SyntaxError
		switch {
		case err == io.EOF:
			return nil
		case errors.As(err, &syntax):
			r.stop(r.d.InputOffset(), "%s.", syntax.Msg)
			return nil
		case err != nil:
			r.stop(r.d.InputOffset(), "%v.", err)
			return nil
		}
		switch t := t.(type) {
		case xml.Comment:
			r.comment(string(t))
			continue
		case xml.StartElement:
			r.begin(t)
		case xml.EndElement:
			r.path = r.path[:len(r.path)-1]
		}
		return t
	}
	return nil
}

// comment looks for the product in what stands before the first element.
func (r *reader) comment(text string) {
	if len(r.path) > 0 {
		return
	}
	for line := range strings.Lines(text) {
		if product, ok := strings.CutPrefix(strings.TrimSpace(line), "Product:"); ok {
			r.foreign = strings.TrimSpace(product) != r.product
		}
	}
}

// begin looks at a start tag.
func (r *reader) begin(t xml.StartElement) {
	r.path = append(r.path, t.Name.Local)
	r.places.begins(r.path, r.at)
	if len(r.path) > maxDepth {
		r.stop(r.at, "There are more than %d elements in each other.", maxDepth)
	}
	if t.Name.Space != "" {
		r.stop(r.at, "The name of the element <%.40s> has a prefix.", t.Name.Local)
	}
	if len(t.Attr) > maxAttributes {
		r.stop(r.at, "The element <%.40s> has more than %d attributes.", t.Name.Local, maxAttributes)
		return
	}
	for i, a := range t.Attr {
		if slices.ContainsFunc(t.Attr[:i], func(b xml.Attr) bool { return a.Name == b.Name }) {
			r.stop(r.at, "The attribute %.40s is given twice.", a.Name.Local)
		}
	}
}

// document reads a whole document, whose root holds what content reads.
func (r *reader) document(content func()) {
	roots, typed := 0, false
	for {
		switch t := r.token().(type) {
		case nil:
			if roots == 0 {
				r.stop(int64(len(r.text)), "There is no element <config>.")
			}
			return
		case xml.ProcInst:
			if t.Target != "xml" || r.at != 0 {
				r.stop(r.at, "A processing instruction is not allowed.")
			}
		case xml.Directive:
			r.doctype(string(t), typed || roots > 0)
			typed = true
		case xml.CharData:
			r.blank(t)
		case xml.StartElement:
			if roots++; roots > 1 {
				r.stop(r.at, "There is more than one root element.")
			} else if t.Name.Local != "config" || len(t.Attr) > 0 {
				r.stop(r.at, "The root element must be <config>, not <%.40s>.", t.Name.Local)
			}
			content()
		}
	}
}

// doctype takes the one document type there is. Declarations in it, entities
// among them, are never read.
func (r *reader) doctype(text string, misplaced bool) {
	switch {
	case misplaced:
		r.stop(r.at, "A document type is allowed once, before <config>.")
	case len(text) > maxDoctype, strings.Join(strings.Fields(text), " ") != `DOCTYPE config SYSTEM "config.dtd"`:
		r.stop(r.at, `The document type must be <!DOCTYPE config SYSTEM "config.dtd"> and declare nothing.`)
	}
}

// blank refuses text between elements.
func (r *reader) blank(t xml.CharData) {
	if text := strings.TrimSpace(string(t)); text != "" {
		r.stop(r.at+int64(bytes.IndexFunc(t, func(c rune) bool { return !strings.ContainsRune(" \t\r\n", c) })), "Text does not belong here: %.40q.", text)
	}
}

// children visits what an element holds, whose start tag was read. visit reads
// to the end tag.
func (r *reader) children(visit func(tag)) {
	for {
		switch t := r.token().(type) {
		case nil, xml.EndElement:
			return
		case xml.CharData:
			r.blank(t)
		case xml.StartElement:
			visit(tag{t.Name.Local, t.Attr, r.at})
		default:
			r.stop(r.at, "Only elements and comments belong here.")
		}
	}
}

// leaf gives the text of an element without others, to its end tag.
func (r *reader) leaf() string {
	var b strings.Builder
	for {
		switch t := r.token().(type) {
		case nil, xml.EndElement:
			return b.String()
		case xml.CharData:
			b.Write(t)
		case xml.StartElement:
			r.stop(r.at, "The element <%.40s> does not belong here.", t.Name.Local)
		default:
			r.stop(r.at, "Only text belongs here.")
		}
	}
}

// skip reads over an element, and tells whether it says anything.
func (r *reader) skip() (says bool) {
	for depth := 1; depth > 0; {
		switch t := r.token().(type) {
		case nil:
			return says
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		case xml.CharData:
			word := strings.ToLower(strings.TrimSpace(string(t)))
			says = says || !slices.Contains([]string{"", "0", "no", "off", "none", "disabled"}, word)
		default:
			r.stop(r.at, "Only elements and text belong here.")
		}
	}
	return says
}

// secret reads a secret that is masked, encrypted or as it is: in one line, or
// as lines between line ends that are not part of it but for the last.
func (r *reader) secret(e tag) store.Secret {
	text := r.leaf()
	trimmed := strings.TrimSpace(text)
	switch {
	case trimmed == mask, r.foreign && trimmed != "" && strings.Trim(trimmed, "*") == "":
		r.stop(e.at, "The passphrases of this file are masked, and it cannot be loaded. Save it with encrypted or plain passphrases.")
		return ""
	case strings.HasPrefix(trimmed, sealedMark):
		s, err := r.opener.open(trimmed)
		if err != nil && !r.over {
			refused := errorAt(r.text, e.at, "<%s>: %v.", e.name, err)
			refused.Err = err
			r.errs, r.over = append(r.errs, refused), true
		}
		return s
	case strings.HasPrefix(text, "\n") && trimmed != "":
		return store.Secret(trimmed + "\n")
	case strings.HasPrefix(text, "\n"):
		return ""
	}
	return store.Secret(text)
}
