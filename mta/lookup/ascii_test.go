package lookup

import (
	"strings"
	"testing"
)

func TestASCII(t *testing.T) {
	long := strings.Repeat("ü", maxLabel+1)
	for _, tt := range []struct {
		in, want string
		ok       bool
	}{
		{"", "", true},
		{"example.com", "example.com", true},
		{"bücher.example", "xn--bcher-kva.example", true},
		{"münchen.de", "xn--mnchen-3ya.de", true},
		{"例え.テスト", "xn--r8jz45g.xn--zckzah", true},
		{"παράδειγμα.δοκιμή", "xn--hxajbheg2az3al.xn--jxalpdlp", true},
		{"пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f", true},
		{"他们为什么不说中文", "xn--ihqwcrb4cv8a8dqg056pqjye", true},
		{"a.ß.b", "a.xn--zca.b", true},
		{"ü.", "xn--tda.", true},
		{"\xff.test", "\xff.test", false},
		{"ü.\xff", "xn--tda.\xff", false},
		{long + ".ü", long + ".xn--tda", false},
	} {
		if got, ok := ASCII(tt.in); got != tt.want || ok != tt.ok {
			t.Errorf("ASCII(%q) = %q, %v, want %q, %v", tt.in, got, ok, tt.want, tt.ok)
		}
	}
}

// Samples of RFC 3492 §7.1, and labels in use.
func TestPunycode(t *testing.T) {
	for in, want := range map[string]string{
		"ليهمابتكلموشعربي؟":            "egbpdaj6bu4bxfgehfvwxn",
		"他们为什么不说中文":                    "ihqwcrb4cv8a8dqg056pqjye",
		"他們爲什麽不說中文":                    "ihqwctvzc91f659drss3x8bo0yb",
		"pročprostěnemluvíčesky":       "proprostnemluvesky-uyb24dma41a",
		"למההםפשוטלאמדבריםעברית":       "4dbcagdahymbxekheh6e0a7fei0b",
		"なぜみんな日本語を話してくれないのか":           "n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa",
		"почемужеонинеговорятпорусски": "b1abfaaepdrnnbgefbadotcwatmq2g4l",
		"3年b組金八先生":                     "3b-ww4c5e180e575a65lsy2b",
		"bücher":                       "bcher-kva",
		"straße":                       "strae-oqa",
	} {
		if got := punycode([]rune(in)); got != want {
			t.Errorf("punycode(%q) = %q, want %q", in, got, want)
		}
	}
}
