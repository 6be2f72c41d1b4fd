package configfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzRead: whatever is loaded, the reader ends and leaves its base alone; what
// it makes of it can be written and is read as the same.
func FuzzRead(f *testing.F) {
	data, err := os.ReadFile(filepath.Join("testdata", "appliance.xml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	m := newMaker(f, 21)
	for range 3 {
		f.Add([]byte(written(f, m.config(), Options{Secrets: Plain})))
	}
	f.Add([]byte(written(f, factory(), Options{Secrets: Masked})))
	f.Add([]byte(secretFile(gatewayKey(f, "a").seal("$argon2id$x"))))
	f.Add([]byte(inside("<hostname>&#65;<![CDATA[b]]></hostname><!-- c -->")))
	f.Add([]byte("<!DOCTYPE config [<!ENTITY a \"b\">]>" + inside("<hostname>&a;</hostname>")))
	own := gatewayKey(f, "a")
	f.Fuzz(func(t *testing.T, data []byte) {
		base := factory()
		// A passphrase would cost a tenth of a second.
		result, err := Read(t.Context(), data, base, ReadOptions{Product: about().Product, Keys: Keys{Gateway: own}})
		if !base.Equal(factory()) {
			t.Fatal("the base was changed")
		}
		if err != nil {
			if result.Config != nil || !strings.HasPrefix(err.Error(), "line ") {
				t.Fatalf("%v", err)
			}
			return
		}
		if problems := result.Config.Validate(); len(problems) > 0 { // it is refused before it can be committed
			for _, p := range problems[:min(len(problems), 10)] {
				if !strings.HasSuffix(result.Fault(p).Error(), p.Place+": "+p.Text) {
					t.Fatalf("%v became %v", p, result.Fault(p))
				}
			}
			return
		}
		again, err := Read(t.Context(), []byte(written(t, result.Config, Options{Secrets: Plain})), factory(), ReadOptions{Product: about().Product})
		if err != nil || !again.Config.Equal(result.Config) {
			t.Fatalf("it does not come back: %v", err)
		}
	})
}
