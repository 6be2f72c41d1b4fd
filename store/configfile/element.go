package configfile

import (
	"slices"
	"strconv"
	"strings"

	"esa/store"
)

// element is one element of a file, which says something of a T.
type element[T any] struct {
	name       string
	attributes []string                     // that it may have
	repeats    bool                         // it may come several times
	unless     func(t *T) bool              // nil, or when it is not written
	write      func(w *writer, t *T)        // with its tags
	read       func(r *reader, e tag, t *T) // to its end tag
}

func (e element[T]) written(t *T) bool { return e.unless == nil || !e.unless(t) }

// section is a part of the file with a title.
type section struct {
	title    string
	elements []element[store.Config]
}

// writeFields writes the elements of a T.
func writeFields[T any](w *writer, fields []element[T], t *T) {
	for _, f := range fields {
		if f.written(t) {
			f.write(w, t)
		}
	}
}

// readFields reads the elements of a T, in any order. What is not there stays.
func readFields[T any](r *reader, fields []element[T], t *T) {
	seen := map[string]bool{}
	r.children(func(e tag) {
		n := slices.IndexFunc(fields, func(f element[T]) bool { return f.name == e.name })
		switch {
		case n < 0:
			r.unknown(e)
			return
		case seen[e.name] && !fields[n].repeats:
			r.stop(e.at, "The element <%s> is there twice.", e.name)
			return
		}
		seen[e.name] = true
		r.allow(e, fields[n].attributes)
		fields[n].read(r, e, t)
	})
}

// allow refuses attributes that an element does not have; of another product
// they are left out.
func (r *reader) allow(e tag, allowed []string) {
	for _, a := range e.attributes {
		switch {
		case slices.Contains(allowed, a.Name.Local):
		case r.foreign:
			r.note("<%s>, attribute %.40s: it is not known.", e.name, a.Name.Local)
		default:
			r.stop(e.at, "The element <%s> has no attribute %.40s.", e.name, a.Name.Local)
		}
	}
}

// attribute gives the value of an attribute, empty if it is not there.
func (e tag) attribute(name string) string {
	for _, a := range e.attributes {
		if a.Name.Local == name {
			return strings.TrimSpace(a.Value)
		}
	}
	return ""
}

// codec writes a V as text and reads it.
type codec[V any] struct {
	format func(V) string
	parse  func(string) (V, error)
}

// leaf is an element that holds one value.
func leaf[T, V any](name string, c codec[V], place func(*T) *V) element[T] {
	return element[T]{
		name:  name,
		write: func(w *writer, t *T) { w.leaf(name, c.format(*place(t))) },
		read: func(r *reader, e tag, t *T) {
			v, err := c.parse(r.leaf())
			if err != nil {
				r.refuse(e.at, "<%s>: %v", name, err)
				return
			}
			*place(t) = v
			named(r, e, c, v)
		},
	}
}

// optional is a leaf that is not written where its value is zero, which is
// then also what a list element has that does not have it.
func optional[T any, V comparable](name string, c codec[V], place func(*T) *V) element[T] {
	e := leaf(name, c, place)
	e.unless = func(t *T) bool {
		var zero V
		return *place(t) == zero
	}
	return e
}

// text is a text as it is.
func text[S ~string]() codec[S] {
	return codec[S]{func(s S) string { return string(s) }, func(s string) (S, error) { return S(s), nil }}
}

// word is a text that parse brings into its one form. An empty one is nothing.
func word[S ~string](parse func(string) (S, error)) codec[S] {
	return codec[S]{func(s S) string { return string(s) }, func(s string) (S, error) {
		if s = strings.TrimSpace(s); s == "" {
			return "", nil
		}
		return parse(s)
	}}
}

// valueError is why a value is refused.
type valueError string

func (e valueError) Error() string { return string(e) }

// number is a whole number; empty, and the word Default, are 0, which is the
// default of what has one.
func number[N ~int | ~int64 | ~uint16]() codec[N] {
	return codec[N]{func(n N) string { return strconv.FormatInt(int64(n), 10) }, func(s string) (N, error) {
		s = strings.TrimSpace(s)
		if s == "" || strings.EqualFold(s, "default") {
			return 0, nil
		}
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || int64(N(n)) != n {
			return 0, valueError("The value must be a number.")
		}
		return N(n), nil
	}}
}

// size is a number of bytes, which may be read with a letter: 10M.
func size() codec[int64] {
	c := number[int64]()
	c.parse = func(s string) (int64, error) { return store.ParseSize(s) }
	return c
}

// parseFlag reads yes or no, as 1 or 0.
func parseFlag(s string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "1", "yes", "on", "true", "enabled":
		return true, nil
	case "0", "no", "off", "false", "disabled":
		return false, nil
	}
	return false, valueError("The value must be 0 or 1.")
}

func formatFlag(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

func flag() codec[bool] { return codec[bool]{formatFlag, parseFlag} }

// tri is yes, no, or what a default says, which is empty.
func tri() codec[store.Tri] {
	return codec[store.Tri]{func(t store.Tri) string {
		if t == store.Inherit {
			return ""
		}
		return formatFlag(t.Is())
	}, func(s string) (store.Tri, error) {
		if s = strings.TrimSpace(s); s == "" || strings.EqualFold(s, "default") {
			return store.Inherit, nil
		}
		on, err := parseFlag(s)
		return store.TriOf(on), err
	}}
}

// secret is an element that holds a secret.
func secret[T any](name string, place func(*T) *store.Secret) element[T] {
	return element[T]{
		name:  name,
		write: func(w *writer, t *T) { w.secret(name, *place(t)) },
		read:  func(r *reader, e tag, t *T) { *place(t) = r.secret(e) },
	}
}

// lines is an element whose text is written as lines, each ended by LF.
func lines[T any, S ~string](name string, place func(*T) *S) element[T] {
	return element[T]{
		name:  name,
		write: func(w *writer, t *T) { w.block(name, string(*place(t))) },
		read: func(r *reader, _ tag, t *T) {
			text := strings.TrimSpace(r.leaf())
			if text != "" {
				text += "\n"
			}
			*place(t) = S(text)
		},
	}
}

// group is an element that holds those of a part of T.
func group[T, P any](name string, place func(*T) *P, fields ...element[P]) element[T] {
	return element[T]{
		name: name,
		write: func(w *writer, t *T) {
			w.open(name)
			writeFields(w, fields, place(t))
			w.close(name)
		},
		read: func(r *reader, _ tag, t *T) { readFields(r, fields, place(t)) },
	}
}

// same is the place of a group that stands for no part of its own.
func same[T any](t *T) *T { return t }

// list is an element that holds a list, which it replaces. The elements of one
// entry are those of an F, the form of an entry in the file; keep makes entries
// of what was read.
type list[T, F any] struct {
	name, item string
	most       int // entries, at least what Validate allows
	all        func(*T) []F
	keep       func(r *reader, e tag, t *T, forms []F)
	fresh      func() F              // nil: the zero F
	items      func(f *F) string     // nil, or the name of the element of an entry
	named      func(string, *F) bool // with items: takes the name that was read
	fields     []element[F]
}

func (l list[T, F]) element() element[T] {
	return element[T]{name: l.name, write: l.write, read: l.read}
}

func (l list[T, F]) write(w *writer, t *T) {
	w.open(l.name)
	for _, f := range l.all(t) {
		name := l.item
		if l.items != nil {
			name = l.items(&f)
		}
		w.open(name)
		writeFields(w, l.fields, &f)
		w.close(name)
	}
	w.close(l.name)
}

func (l list[T, F]) read(r *reader, e tag, t *T) {
	var forms []F
	r.children(func(e tag) {
		var f F
		if l.fresh != nil {
			f = l.fresh()
		}
		switch {
		case l.items == nil && e.name != l.item, l.items != nil && !l.named(e.name, &f):
			r.unknown(e)
			return
		case len(forms) == l.most:
			r.stop(e.at, "There is a maximum of %d.", l.most)
			return
		}
		r.allow(e, nil)
		readFields(r, l.fields, &f)
		forms = append(forms, f)
	})
	if !r.over {
		l.keep(r, e, t, forms)
	}
}

// plain makes a list whose entries in the file have the fields of those in the
// configuration. path is the name of the list and, behind a slash, of an entry.
func plain[T, E any](path string, place func(*T) *[]E, most int, fields ...element[E]) element[T] {
	name, item, _ := strings.Cut(path, "/")
	return list[T, E]{
		name: name, item: item, most: most, fields: fields,
		all:  func(t *T) []E { return *place(t) },
		keep: func(_ *reader, _ tag, t *T, entries []E) { *place(t) = entries },
	}.element()
}

// values is a list of entries that hold one text each; path is as that of plain.
func values[T, V any](path string, most int, c codec[V], place func(*T) *[]V) element[T] {
	name, item, _ := strings.Cut(path, "/")
	return element[T]{
		name: name,
		write: func(w *writer, t *T) {
			w.open(name)
			for _, v := range *place(t) {
				w.leaf(item, c.format(v))
			}
			w.close(name)
		},
		read: func(r *reader, _ tag, t *T) {
			var all []V
			readFields(r, []element[[]V]{repeated(item, most, c, func(t *[]V) *[]V { return t })}, &all)
			*place(t) = all
		},
	}
}

// repeated is an element that comes once for each value of a list; reading adds
// to the list.
func repeated[T, V any](name string, most int, c codec[V], place func(*T) *[]V) element[T] {
	return element[T]{
		name: name, repeats: true,
		write: func(w *writer, t *T) {
			for _, v := range *place(t) {
				w.leaf(name, c.format(v))
			}
		},
		read: func(r *reader, e tag, t *T) {
			v, err := c.parse(r.leaf())
			switch {
			case err != nil:
				r.refuse(e.at, "<%s>: %v", name, err)
			case len(*place(t)) == most:
				r.stop(e.at, "There is a maximum of %d.", most)
			default:
				*place(t) = append(*place(t), v)
				named(r, e, c, v)
			}
		},
	}
}
