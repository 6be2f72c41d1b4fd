package store

import (
	"fmt"
	"reflect"
)

// keyed is an element of a list that is known by a name of its own.
type keyed interface{ key() string }

// separate makes a value that was copied by assignment share nothing with its
// original. Empty lists become nil. What has no exported fields (addresses) is
// a value already.
func separate(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				separate(v.Field(i))
			}
		}
	case reflect.Slice:
		if v.Len() == 0 {
			v.SetZero()
			return
		}
		own := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(own, v)
		v.Set(own)
		for i := range v.Len() {
			separate(v.Index(i))
		}
	}
}

// equal compares two values of one type; an empty list and none are the same.
// An invalid value, an element that is not there, equals only another.
func equal(a, b reflect.Value) bool {
	if !a.IsValid() || !b.IsValid() {
		return a.IsValid() == b.IsValid()
	}
	switch a.Kind() {
	case reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !equal(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Struct:
		if a.Comparable() {
			return a.Equal(b)
		}
		for i := range a.NumField() {
			if !equal(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	}
	return a.Equal(b)
}

// isTable reports whether t is a list of named elements.
func isTable(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Implements(reflect.TypeFor[keyed]())
}

// table is a list of named elements, by name and in order.
type table struct {
	keys     []string
	elements map[string]reflect.Value
}

// read gives the table in v, none if v is no value. A name that comes twice,
// which Validate refuses, gets a number so that no element is lost.
func read(v reflect.Value) table {
	t := table{elements: map[string]reflect.Value{}}
	if !v.IsValid() {
		return t
	}
	times := map[string]int{}
	for i := range v.Len() {
		key := v.Index(i).Interface().(keyed).key()
		if times[key]++; times[key] > 1 {
			key = fmt.Sprintf("%s #%d", key, times[key])
		}
		t.keys = append(t.keys, key)
		t.elements[key] = v.Index(i)
	}
	return t
}

// common gives those of the keys that the other table has too.
func (t table) common(other table) []string {
	var keys []string
	for _, key := range t.keys {
		if _, ok := other.elements[key]; ok {
			keys = append(keys, key)
		}
	}
	return keys
}

// hasObjects reports whether fields of struct type t are merged by themselves.
func hasObjects(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("object") != "" {
			return true
		}
	}
	return false
}

// rest gives a copy of the struct v without the fields merged by themselves.
func rest(v reflect.Value) reflect.Value {
	own := reflect.New(v.Type()).Elem()
	own.Set(v)
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("object") != "" {
			own.Field(i).SetZero()
		}
	}
	return own
}

// objectName names an object for people: `listener "IncomingMail"`.
func objectName(parent, object, key string) string {
	if key != "" {
		object = fmt.Sprintf("%s %q", object, key)
	}
	if parent == "" {
		return object
	}
	return parent + " " + object
}
