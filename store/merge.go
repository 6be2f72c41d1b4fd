package store

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Conflict is one object that this session and another changed differently.
type Conflict struct {
	Object   string // `listener "IncomingMail"`
	User     string // who changed it, and where and when that was committed
	Source   string
	Time     time.Time
	Revision uint64 // 0, and nobody named, when it is no longer kept
	Theirs   string // what they made of it, against what both began with
	Mine     string
}

// ConflictError says which objects keep a merge from being made.
type ConflictError struct{ Conflicts []Conflict }

func (e *ConflictError) Error() string {
	lines := make([]string, len(e.Conflicts))
	for i, c := range e.Conflicts {
		by := "in a revision that is no longer kept"
		if c.Revision != 0 {
			by = fmt.Sprintf("by %s at %s in revision %d", c.User, c.Time.Format(time.DateTime), c.Revision)
		}
		lines[i] = fmt.Sprintf("%s was changed %s (theirs: %s; yours: %s)", c.Object, by, c.Theirs, c.Mine)
	}
	return strings.Join(lines, "\n")
}

// merge joins two configurations that were both made from base: an object
// that one side changed is that side's, one that both changed in the same way
// is fine, one that both changed differently is a conflict. Nothing is ever
// decided by who came last. With conflicts the result is of no use.
func merge(base, theirs, mine *Config) (*Config, []Conflict) {
	var m merger
	merged := m.value("", reflect.ValueOf(base).Elem(), reflect.ValueOf(theirs).Elem(), reflect.ValueOf(mine).Elem())
	return new(merged.Interface().(Config)).Clone(), m.conflicts
}

type merger struct{ conflicts []Conflict }

// value merges what is known as name. An absent element is an invalid value.
func (m *merger) value(name string, base, theirs, mine reflect.Value) reflect.Value {
	switch {
	case equal(mine, base):
		return theirs
	case equal(theirs, base), equal(theirs, mine):
		return mine
	case base.IsValid() && theirs.IsValid() && mine.IsValid() && hasObjects(base.Type()):
		return m.structure(name, base, theirs, mine)
	}
	m.conflict(name, describe(base, theirs), describe(base, mine))
	return theirs
}

func (m *merger) conflict(object, theirs, mine string) {
	m.conflicts = append(m.conflicts, Conflict{Object: object, Theirs: theirs, Mine: mine})
}

// structure merges the objects of a struct one by one, and its other fields
// as one more.
func (m *merger) structure(name string, base, theirs, mine reflect.Value) reflect.Value {
	result := reflect.New(base.Type()).Elem()
	result.Set(m.rest(name, base, theirs, mine))
	for i := range base.NumField() {
		field := base.Type().Field(i)
		object := field.Tag.Get("object")
		b, t, o := base.Field(i), theirs.Field(i), mine.Field(i)
		switch {
		case object == "":
		case isTable(field.Type):
			result.Field(i).Set(m.table(objectName(name, object, ""), field, [3]reflect.Value{b, t, o}))
		case hasObjects(field.Type):
			result.Field(i).Set(m.structure(name, b, t, o))
		default:
			result.Field(i).Set(m.value(objectName(name, object, ""), b, t, o))
		}
	}
	return result
}

// rest merges the fields that are no objects of their own. They hold none
// themselves, so value cannot come back here.
func (m *merger) rest(name string, base, theirs, mine reflect.Value) reflect.Value {
	b, t, o := rest(base), rest(theirs), rest(mine)
	switch {
	case equal(o, b):
		return t
	case equal(t, b), equal(t, o):
		return o
	}
	m.conflict(name, describe(b, t), describe(b, o))
	return t
}

// table merges a list of named elements. object is the name of such an
// element without its key.
func (m *merger) table(object string, field reflect.StructField, v [3]reflect.Value) reflect.Value {
	base, theirs, mine := read(v[0]), read(v[1]), read(v[2])
	var sequence []string
	if field.Tag.Get("ordered") != "" {
		sequence = m.ordered(object, base.keys, theirs.keys, mine.keys)
	} else {
		sequence = unordered(base, theirs, mine)
	}
	merged := reflect.MakeSlice(field.Type, 0, len(sequence))
	placed := make(map[string]bool, len(sequence))
	for _, key := range sequence {
		placed[key] = true
		name := objectName("", object, key)
		if e := m.value(name, base.elements[key], theirs.elements[key], mine.elements[key]); e.IsValid() {
			merged = reflect.Append(merged, e)
		}
	}
	// What is in no sequence was removed by one side: the other must not have
	// changed it meanwhile.
	for _, key := range base.keys {
		if !placed[key] {
			m.value(objectName("", object, key), base.elements[key], theirs.elements[key], mine.elements[key])
		}
	}
	return merged
}

// ordered merges the sequence of a list where it has a meaning: it is one
// object, because a place between two elements of others cannot be guessed.
func (m *merger) ordered(object string, base, theirs, mine []string) []string {
	switch {
	case slices.Equal(mine, base):
		return theirs
	case slices.Equal(theirs, base), slices.Equal(theirs, mine):
		return mine
	}
	m.conflict(object+" order", strings.Join(theirs, ", "), strings.Join(mine, ", "))
	return theirs
}

// unordered merges the sequence of a list where it is only how it looks: the
// side that sorted it anew leads, each element that the other added follows the
// one it followed there.
func unordered(base, theirs, mine table) []string {
	lead, other := theirs, mine
	if slices.Equal(base.common(theirs), theirs.common(base)) {
		lead, other = mine, theirs
	}
	var first []string
	after := map[string][]string{}
	anchor, anchored := "", false
	for _, key := range other.keys {
		if _, ok := lead.elements[key]; ok {
			anchor, anchored = key, true
			continue
		}
		if anchored {
			after[anchor] = append(after[anchor], key)
		} else {
			first = append(first, key)
		}
	}
	sequence := first
	for _, key := range lead.keys {
		sequence = append(append(sequence, key), after[key]...)
	}
	return sequence
}

// describe tells in one line what was made of a value.
func describe(from, to reflect.Value) string {
	const most = 5 // changes; a conflict is an explanation, not a listing
	changes := difference(from, to)
	lines := make([]string, 0, most+1)
	for i, c := range changes {
		if i == most {
			lines = append(lines, fmt.Sprintf("and %d more", len(changes)-most))
			break
		}
		lines = append(lines, c.line())
	}
	if len(lines) == 0 {
		return "unchanged"
	}
	return strings.Join(lines, "; ")
}

// changedObjects names what differs, as merge names objects.
func changedObjects(from, to *Config) []string {
	var names []string
	objects("", reflect.ValueOf(from).Elem(), reflect.ValueOf(to).Elem(), func(name string) { names = append(names, name) })
	return names
}

// objects visits the objects of two structs that differ.
func objects(name string, a, b reflect.Value, visit func(string)) {
	if !equal(rest(a), rest(b)) {
		visit(name)
	}
	for i := range a.NumField() {
		field := a.Type().Field(i)
		object := field.Tag.Get("object")
		x, y := a.Field(i), b.Field(i)
		switch {
		case object == "" || equal(x, y):
		case isTable(field.Type):
			tableObjects(objectName(name, object, ""), field, [2]reflect.Value{x, y}, visit)
		case hasObjects(field.Type):
			objects(name, x, y, visit)
		default:
			visit(objectName(name, object, ""))
		}
	}
}

// tableObjects visits the elements of a list that differ, and its sequence.
func tableObjects(object string, field reflect.StructField, lists [2]reflect.Value, visit func(string)) {
	from, to := read(lists[0]), read(lists[1])
	if !slices.Equal(from.common(to), to.common(from)) || field.Tag.Get("ordered") != "" && !slices.Equal(from.keys, to.keys) {
		visit(object + " order")
	}
	for _, key := range from.keys {
		if !to.elements[key].IsValid() {
			visit(objectName("", object, key))
		}
	}
	for _, key := range to.keys {
		a, b := from.elements[key], to.elements[key]
		switch name := objectName("", object, key); {
		case equal(a, b):
		case a.IsValid() && hasObjects(b.Type()):
			objects(name, a, b, visit)
		default:
			visit(name)
		}
	}
}
