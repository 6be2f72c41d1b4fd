package store

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// fillValue gives every field something, lists two elements.
func fillValue(v reflect.Value, n *int) {
	*n++
	switch v.Interface().(type) {
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(*n >> 8), byte(*n)}), 24)))
		return
	case netip.AddrPort:
		v.Set(reflect.ValueOf(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(*n >> 8), byte(*n)}), 53)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("s%d", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint16:
		v.SetUint(uint64(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fillValue(v.Index(0), n)
		fillValue(v.Index(1), n)
	case reflect.Struct:
		for i := range v.NumField() {
			fillValue(v.Field(i), n)
		}
	default:
		panic("no rule to clone, compare and store a " + v.Kind().String())
	}
}

func filled() *Config {
	var c Config
	n := 0
	fillValue(reflect.ValueOf(&c).Elem(), &n)
	return &c
}

// leaves visits every value that can be changed by itself.
func leaves(path string, v reflect.Value, visit func(string, reflect.Value)) {
	switch {
	case v.Kind() == reflect.Struct && v.NumField() > 0 && v.Field(0).CanSet():
		for i := range v.NumField() {
			leaves(path+"."+v.Type().Field(i).Name, v.Field(i), visit)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			leaves(fmt.Sprintf("%s[%d]", path, i), v.Index(i), visit)
		}
		visit(path, v)
	default:
		visit(path, v)
	}
}

// mutate changes a leaf.
func mutate(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Slice:
		v.Set(v.Slice(0, v.Len()-1))
	default:
		n := 7777
		fillValue(v, &n)
	}
}

func TestCloneSharesNothing(t *testing.T) {
	original := filled()
	before, err := encode(original)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	leaves("Config", reflect.ValueOf(original.Clone()).Elem(), func(path string, _ reflect.Value) {
		count++
		clone := original.Clone()
		leaves("Config", reflect.ValueOf(clone).Elem(), func(p string, v reflect.Value) {
			if p == path {
				mutate(v)
			}
		})
		after, err := encode(original)
		if err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s: changing the clone changed the original", path)
		}
		if clone.Equal(original) {
			t.Errorf("%s: Equal does not see the change", path)
		}
		if len(Diff(original, clone)) == 0 {
			t.Errorf("%s: Diff does not see the change", path)
		}
		if len(changedObjects(original, clone)) == 0 {
			t.Errorf("%s: no object is named", path)
		}
		data, err := encode(clone)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decode(data); err != nil || !back.Equal(clone) {
			t.Errorf("%s: not stored: %v", path, err)
		}
	})
	if count < 100 {
		t.Errorf("only %d leaves", count)
	}
}

func TestCloneMakesEmptyListsNil(t *testing.T) {
	c := testConfig()
	c.Routes = []Route{}
	c.Listeners[0].HAT.Groups[0].Hosts = []string{}
	clone := c.Clone()
	if clone.Routes != nil || clone.Listeners[0].HAT.Groups[0].Hosts != nil {
		t.Error("an empty list is not nil")
	}
	if !clone.Equal(c) {
		t.Error("not equal")
	}
}

// Every field of the tree has words of its own, every list of named elements
// the word for one, and nothing that should be kept secret is a plain value.
func TestDeclarations(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		if typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] || typ.PkgPath() != reflect.TypeFor[Config]().PkgPath() {
			return
		}
		seen[typ] = true
		var labels []string
		for i := range typ.NumField() {
			f := typ.Field(i)
			label := f.Tag.Get("label")
			if !oneLine(typ) && label == "" || slices.Contains(labels, label) && label != "" {
				t.Errorf("%s.%s: label %q", typ, f.Name, label)
			}
			labels = append(labels, label)
			if isTable(f.Type) && !oneLine(typ) && typ != reflect.TypeFor[DNS]() && f.Tag.Get("object") == "" {
				t.Errorf("%s.%s: no word for one object", typ, f.Name)
			}
			// The key of a host is a public one; what is done with secrets is none.
			open := strings.Contains(label, "public") || label == "Host key" || f.Type == reflect.TypeFor[ArchiveSecrets]()
			for _, word := range []string{"pass", "secret", "key", "token"} {
				if strings.Contains(strings.ToLower(f.Name), word) && !open && f.Type.Kind() != reflect.Struct && f.Type != reflect.TypeFor[Secret]() {
					t.Errorf("%s.%s: a secret must be of a type that prints masked", typ, f.Name)
				}
			}
			walk(f.Type)
		}
	}
	walk(reflect.TypeFor[Config]())
	for i := range reflect.TypeFor[Config]().NumField() {
		if f := reflect.TypeFor[Config]().Field(i); f.Tag.Get("object") == "" {
			t.Errorf("Config.%s: no object", f.Name)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	good, err := encode(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decode(good); err != nil {
		t.Fatal(err)
	}
	replaced := func(from, to string) []byte {
		if !bytes.Contains(good, []byte(from)) {
			t.Fatalf("%s is not in the configuration", from)
		}
		return bytes.Replace(good, []byte(from), []byte(to), 1)
	}
	for name, data := range map[string][]byte{
		"nothing":         nil,
		"null":            []byte("null"),
		"empty object":    []byte("{}"),
		"unknown field":   replaced(`"Hostname"`, `"Surprise":1,"Hostname"`),
		"twice":           replaced(`"Hostname"`, `"Hostname":"a","Hostname"`),
		"other case":      replaced(`"Hostname"`, `"hostname"`),
		"missing field":   replaced(`"BounceDown":false,`, ``),
		"trailing text":   append(bytes.Clone(good), " x"...),
		"second document": append(bytes.Clone(good), good...),
		"blank":           append(bytes.Clone(good), '\n'),
		"wrong type":      replaced(`"BounceDown":false`, `"BounceDown":0`),
		"bad address":     replaced(`"127.0.0.1/8"`, `"127.0.0.1/99"`),
		"port too large":  replaced(`"Port":2525`, `"Port":70000`),
		"not UTF-8":       replaced(`"mail.example.com"`, "\"\xff\""),
	} {
		if _, err := decode(data); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	good, err := encode(testConfig())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decode(data)
		if err != nil {
			return
		}
		again, err := encode(c)
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("accepted, but not its own form: %v", err)
		}
		c.Validate()
		c.Warnings(certNow(), nil)
		OpensRelay(&Config{}, c)
		Diff(&Config{}, c)
	})
}
