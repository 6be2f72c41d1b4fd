package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// account gives a user with a passphrase.
func account(t testing.TB, name string, role Role, passphrase string) User {
	t.Helper()
	u, err := factoryPassphrases().Set(User{Name: name, FullName: name, Role: role}, passphrase, 20000, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestPassphraseIsCheckedAndNeverShown(t *testing.T) {
	u := account(t, "ann", Operators, "Correct horse 1")
	if !u.Check("Correct horse 1") || u.Check("Correct horse 2") || u.Check("") || u.Check(strings.Repeat("x", 1<<20)) {
		t.Error("the wrong passphrases match")
	}
	if again := account(t, "ann", Operators, "Correct horse 1"); again.Passphrase == u.Passphrase {
		t.Error("the same passphrase gives the same hash twice")
	}
	for _, shown := range []string{fmt.Sprint(u), fmt.Sprintf("%+v %#v", u, u), FormatChanges(Diff(&Config{}, &Config{Users: []User{u}}))} {
		if strings.Contains(shown, "argon2") || strings.Contains(shown, u.Passphrase.Reveal()) {
			t.Errorf("the hash is shown: %s", shown)
		}
	}
	u.Suspended = true
	if u.Check("Correct horse 1") {
		t.Error("a locked user is let in")
	}
	if (User{Name: "ann"}).Check("") {
		t.Error("a user without passphrase is let in")
	}
}

// TestCheck_ForeignHashes: what is damaged, of another kind or would cost more
// than we allow lets nobody in, and is no configuration.
func TestCheck_ForeignHashes(t *testing.T) {
	good := account(t, "ann", Operators, "x").Passphrase.Reveal()
	for _, hash := range []string{
		"", "x", "$2a$10$abcdefghijklmnopqrstuv",
		strings.Replace(good, "argon2id", "argon2i", 1),
		strings.Replace(good, "v=19", "v=18", 1),
		strings.Replace(good, "m=19456", "m=4000000", 1),
		strings.Replace(good, "m=19456", "m=0", 1),
		strings.Replace(good, "t=2", "t=4000000000", 1),
		strings.Replace(good, "t=2", "t=0", 1),
		strings.Replace(good, "p=1", "p=255", 1),
		strings.Replace(good, "p=1", "p=0", 1),
		good + "$", good[:len(good)-4], good + "AAAA", strings.Replace(good, "$", "$$", 1),
	} {
		if (User{Passphrase: Secret(hash)}).Check("x") {
			t.Errorf("%q lets somebody in", hash)
		}
		c := testConfig()
		c.Users = append(c.Users, User{Name: "bob", FullName: "Bob", Role: Guests, Passphrase: Secret(hash)})
		if found := c.Validate(); hash != "" && len(found) != 1 {
			t.Errorf("%q: %v", hash, found)
		}
	}
}

func TestPolicy(t *testing.T) {
	strict := factoryPassphrases()
	u := account(t, "ann", Operators, "Present Pass 1")
	u, err := strict.Set(u, "Later Pass 2!", 20001, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		change func(*PassphrasePolicy)
		text   string
		wants  []string // what is missing
	}{
		{nil, "Good enough 1", nil},
		{nil, "Sch\u00f6n lang 1", nil},
		{nil, "Short1!", []string{"at least 8 characters"}},
		{func(p *PassphrasePolicy) { p.MinLength = 6 }, "Short1!", nil},
		{nil, "lower case 1", []string{"one upper"}},
		{func(p *PassphrasePolicy) { p.Mixed = false }, "lower case 1", nil},
		{nil, "No Number!", []string{"one number"}},
		{func(p *PassphrasePolicy) { p.Digit = false }, "No Number!", nil},
		{nil, "NoSpecial1", []string{"special"}},
		{func(p *PassphrasePolicy) { p.Special = false }, "NoSpecial1", nil},
		{nil, "I am Ann 12", []string{"user name"}},
		{nil, "I am NNA 12", []string{"user name"}},
		{func(p *PassphrasePolicy) { p.NotName = false }, "I am Ann 12", nil},
		{nil, "Later Pass 2!", []string{"used before"}},
		{nil, "Present Pass 1", []string{"used before"}},
		{func(p *PassphrasePolicy) { p.Former = 0 }, "Present Pass 1", nil},
		{func(p *PassphrasePolicy) { p.Former = 0 }, "Later Pass 2!", []string{"used before"}},
		{nil, "Bell \a rings 1", []string{"control characters"}},
		{nil, "x", []string{"8 characters", "one upper", "one number", "special"}},
		{nil, strings.Repeat("Aa1! ", 100), []string{"at most 256 bytes"}},
		{nil, "Not \xff text 1", []string{"must be text"}},
	} {
		p := strict
		if tt.change != nil {
			tt.change(&p)
		}
		err := p.Check(u, tt.text)
		if (err == nil) != (tt.wants == nil) {
			t.Errorf("%q: %v", tt.text, err)
		}
		for _, want := range tt.wants {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %q", tt.text, err, want)
			}
		}
	}
}

func TestPolicy_FormerOnesAreBounded(t *testing.T) {
	p := factoryPassphrases()
	p.Former = 2
	u := account(t, "ann", Operators, "pass 0")
	var hashes []Secret
	for i := range 4 {
		hashes = append([]Secret{u.Passphrase}, hashes...)
		u.MustChange = true
		var err error
		if u, err = p.Set(u, fmt.Sprint("pass ", i+1), Day(20000+i), rand.Reader); err != nil || u.MustChange || u.Changed != Day(20000+i) {
			t.Fatalf("%+v, %v", u, err)
		}
	}
	if !slices.Equal(u.Former, hashes[:2]) {
		t.Errorf("%d former passphrases, want the last two", len(u.Former))
	}
}

func TestPolicy_Expired(t *testing.T) {
	u := User{Passphrase: "x", Changed: 1000}
	for _, tt := range []struct {
		days  int
		must  bool
		today Day
		want  bool
	}{
		{0, false, 99999, false},
		{0, true, 1000, true},
		{30, false, 1029, false},
		{30, false, 1030, true},
		{30, false, 900, false}, // the clock went back
	} {
		u.MustChange = tt.must
		if got := (PassphrasePolicy{ExpireDays: tt.days}).Expired(u, tt.today); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
	if (PassphrasePolicy{ExpireDays: 1}).Expired(User{MustChange: true}, 99999) {
		t.Error("a passphrase that is not there expires")
	}
}

// TestGenerate: what is generated fits every policy, and holds no character
// more often than another of its kind would by chance.
func TestGenerate(t *testing.T) {
	seen := map[byte]int{}
	for i := range 400 {
		p := factoryPassphrases()
		p.MinLength = 6 + i%100
		text, err := p.Generate(mathrand.NewChaCha8([32]byte{byte(i), byte(i >> 8)}))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Check(User{Name: "ann-with-a-long-name"}, text); err != nil || len(text) < generatedLength {
			t.Fatalf("%q: %v", text, err)
		}
		for _, c := range []byte(text[:16]) {
			seen[c]++
		}
	}
	all := strings.Join(alphabets(), "")
	mean := float64(400*16) / float64(len(all))
	for _, c := range []byte(all) {
		// The small sets come a little more often: each passphrase has one of them.
		if n := float64(seen[c]); n < mean/3 || n > 3*mean+4*math.Sqrt(mean) {
			t.Errorf("%q comes %v times, about %.0f are expected", c, n, mean)
		}
	}
	if _, err := factoryPassphrases().Generate(bytes.NewReader(nil)); err == nil {
		t.Error("a passphrase without randomness")
	}
	if _, err := HashPassphrase("x", bytes.NewReader(nil)); err == nil {
		t.Error("a hash without salt")
	}
}

func TestAuthenticate(t *testing.T) {
	s, _ := newStore(t)
	session := s.NewSession(Who{User: "admin"})
	locked := account(t, "carl", Guests, "Correct horse 1")
	locked.Suspended = true
	edit(t, session, func(c *Config) {
		c.Users = append(c.Users, account(t, "ann", Operators, "Correct horse 1"), User{Name: "bob", FullName: "Bob", Role: Guests}, locked)
	})
	commit(t, session, "users")
	for _, tt := range []struct {
		name, passphrase string
		in               bool
	}{
		{"ann", "Correct horse 1", true}, {"ann", "correct horse 1", false}, {"Ann", "Correct horse 1", false},
		{"bob", "", false}, {"carl", "Correct horse 1", false}, {"nobody", "Correct horse 1", false}, {"", "", false},
		{"admin", "", false}, {"nobody", strings.Repeat("x", 1<<16), false},
	} {
		u, err := s.Authenticate(t.Context(), tt.name, tt.passphrase)
		if tt.in && (err != nil || u.Name != tt.name) || !tt.in && !errors.Is(err, ErrLogin) {
			t.Errorf("%s %.20q: %+v, %v", tt.name, tt.passphrase, u, err)
		}
	}
}

// TestAuthenticate_OneAtATime: while a check runs, others wait, and stop waiting
// with their connection.
func TestAuthenticate_OneAtATime(t *testing.T) {
	s, _ := newStore(t)
	s.checking <- struct{}{}
	gone := errors.New("the client has gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := s.Authenticate(ctx, "admin", "x")
		done <- err
	}()
	cancel(gone)
	if err := <-done; !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
	<-s.checking
	if _, err := s.Authenticate(t.Context(), "admin", "x"); !errors.Is(err, ErrLogin) {
		t.Errorf("%v", err)
	}
}

func TestParseUsers(t *testing.T) {
	for name, ok := range map[string]bool{
		"ann": true, " ann ": true, "_a": true, "a.b-c_9": true, strings.Repeat("a", 32): true,
		"": false, "Ann": false, "9a": false, "-a": false, "a b": false, "a:b": false, "\u00e4": false, strings.Repeat("a", 33): false,
		"root": false, "operator": false, "system": false, "operators": true, "admin": true,
	} {
		if got, err := ParseUserName(name); (err == nil) != ok || ok && got != strings.TrimSpace(name) {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	for _, r := range Roles() {
		for _, text := range []string{string(r), strings.ToUpper(string(r)), r.Group(), " " + r.Group() + " "} {
			if got, err := ParseRole(text); err != nil || got != r {
				t.Errorf("%q: %q, %v", text, got, err)
			}
		}
	}
	if _, err := ParseRole(""); err == nil {
		t.Error("an empty role")
	}
	for _, day := range []Day{0, 1, 20000, DayOf(time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC))} {
		if got, err := ParseDay(day.String()); err != nil || got != day {
			t.Errorf("%q: %d, %v", day, got, err)
		}
	}
	if _, err := ParseDay("2026-13-01"); err == nil {
		t.Error("a thirteenth month")
	}
}

func TestValidateUsers(t *testing.T) {
	many := make([]User, MaxUsers)
	for i := range many {
		many[i] = User{Name: fmt.Sprint("user", i), FullName: "User", Role: Guests}
	}
	add := func(u User) func(*Config) { return func(c *Config) { c.Users = append(c.Users, u) } }
	checkBad(t, []badConfig{
		{"too many", func(c *Config) { c.Users = append(c.Users, many...) }, "users: There is a maximum of 200 users."},
		{"no admin", func(c *Config) { c.Users = nil }, `users: There must be a user "admin"`},
		{"admin a guest", func(c *Config) { c.Users[0].Role = Guests }, `users: There must be a user "admin"`},
		{"twice", add(factoryUsers()[0]), `user "admin": The user name is there twice.`},
		{"name", add(User{Name: "Ann", FullName: "Ann", Role: Guests}), `user "Ann": The user name must start`},
		{"full name", add(User{Name: "ann", FullName: "A\nB", Role: Guests}), "must not contain control characters"},
		{"role", add(User{Name: "ann", FullName: "Ann", Role: "Kings"}), `The role "Kings" is not known`},
		{"hash", add(User{Name: "ann", FullName: "Ann", Role: Guests, Passphrase: "plain text"}), "A passphrase is not as this program keeps them"},
		{"former", add(User{Name: "ann", FullName: "Ann", Role: Guests, Former: []Secret{"plain text"}}), "A passphrase is not as this program keeps them"},
		{"key", add(User{Name: "ann", FullName: "Ann", Role: Guests, Keys: []string{"ssh-ed25519 A\nB"}}), "An SSH key is not one line"},
		{"keys", add(User{Name: "ann", FullName: "Ann", Role: Guests, Keys: make([]string, MaxUserKeys+1)}), "a maximum of 100 SSH keys"},
		{"length", func(c *Config) { c.Passphrases.MinLength = 5 }, "passphrase policy: Minimum length"},
		{"history", func(c *Config) { c.Passphrases.Former = 16 }, "passphrase policy: Former passphrases"},
		{"expiry", func(c *Config) { c.Passphrases.ExpireDays = -1 }, "passphrase policy: Days until"},
	})
	c := testConfig()
	c.Users = append(c.Users, User{Name: "ann", FullName: "Ann", Role: Guests, Passphrase: "plain text"})
	if text := fmt.Sprint(c.Validate()); strings.Contains(text, "plain text") {
		t.Errorf("a secret is shown: %s", text)
	}
}

// TestMayCommit: for every section of the configuration, who may change it.
func TestMayCommit(t *testing.T) {
	base := filled()
	base.Users = nil
	for _, r := range Roles() {
		base.Users = append(base.Users, User{Name: r.Group(), FullName: "x", Role: r})
	}
	for i := range reflect.TypeFor[Config]().NumField() {
		field := reflect.TypeFor[Config]().Field(i)
		next := base.Clone()
		reflect.ValueOf(next).Elem().Field(i).SetZero()
		if field.Name == "Users" {
			next = base.Clone()
			next.Users = append(next.Users, User{Name: "more", FullName: "x", Role: Administrators})
		}
		for _, r := range Roles() {
			var refused *RightsError
			err := base.MayCommit(r.Group(), next)
			may := r == Administrators || r == Operators && field.Tag.Get("rights") == ""
			if (err == nil) != may || !may && (!errors.As(err, &refused) || !slices.Equal(refused.Sections, []string{field.Tag.Get("label")})) {
				t.Errorf("%s, %s: %v", field.Name, r, err)
			}
		}
		if err := base.MayCommit(SystemName, next); err != nil {
			t.Errorf("%s, the gateway itself: %v", field.Name, err)
		}
		var refused *RightsError
		if err := base.MayCommit("nobody", next); !errors.As(err, &refused) || !refused.Gone {
			t.Errorf("%s, a user who is gone: %v", field.Name, err)
		}
	}
	for _, name := range []string{"Users", "Passphrases"} {
		if f, _ := reflect.TypeFor[Config]().FieldByName(name); f.Tag.Get("rights") != "admin" {
			t.Errorf("%s is not for administrators only", name)
		}
	}
}

// TestMayCommit_OwnPassphrase: everybody changes their own passphrase and
// nothing else of an account.
func TestMayCommit_OwnPassphrase(t *testing.T) {
	base := testConfig()
	for _, r := range Roles() {
		base.Users = append(base.Users, User{Name: "u" + r.Group(), FullName: "x", Role: r})
	}
	for _, r := range Roles()[1:] {
		own := "u" + r.Group()
		for _, tt := range []struct {
			name   string
			change func(*User)
			user   string
			may    bool
		}{
			{"own", func(u *User) { u.Passphrase, u.Changed, u.Former = "x", 7, []Secret{"y"} }, own, true},
			{"another's", func(u *User) { u.Passphrase = "x" }, AdminName, false},
			{"own role", func(u *User) { u.Role = Administrators }, own, false},
			{"own keys", func(u *User) { u.Keys = []string{"x"} }, own, false},
			{"own lock", func(u *User) { u.Suspended = true }, own, false},
		} {
			next := base.Clone()
			n := slices.IndexFunc(next.Users, func(u User) bool { return u.Name == tt.user })
			tt.change(&next.Users[n])
			if err := base.MayChangePassphrase(own, next); (err == nil) != tt.may {
				t.Errorf("%s, %s: %v", r, tt.name, err)
			}
			// Any other commit would go past the old passphrase and the policy.
			if err := base.MayCommit(own, next); err == nil {
				t.Errorf("%s, %s, by another command", r, tt.name)
			}
		}
	}
}

func TestLocksOutAdministrators(t *testing.T) {
	with := func(users ...User) *Config { return &Config{Users: users} }
	admin := User{Name: AdminName, Role: Administrators}
	able, locked, keyed, guest := admin, admin, admin, admin
	able.Passphrase = "x"
	locked.Passphrase, locked.Suspended = "x", true
	keyed.Keys = []string{"ssh-ed25519 AAAA ann"}
	const rsaKey = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC//////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////w== ann" // 1024 bits
	byRSA := admin
	byRSA.Keys = []string{rsaKey}
	speaking := func(bits int, signatures ...string) *Config {
		return &Config{Users: []User{keyed, byRSA}, SSHD: SSHD{Signatures: signatures, MinRSABits: bits}}
	}
	guest.Passphrase, guest.Role = "x", Guests
	for _, tt := range []struct {
		name     string
		from, to *Config
		asks     bool
	}{
		{"passphrase removed", with(able), with(admin), true},
		{"locked", with(able), with(locked), true},
		{"last keys removed", with(keyed), with(admin), true},
		{"key in place of passphrase", with(able), with(keyed), false},
		{"lowered", with(admin, able), with(admin, guest), true},
		{"deleted", with(admin, able), with(admin), true},
		{"another is left", with(keyed, able), with(keyed), false},
		{"there never was one", with(admin), with(locked), false},
		{"nothing", with(able), with(able), false},
		{"no key speaks the algorithm", speaking(0), speaking(0, "ecdsa-sha2-nistp256"), true},
		{"an RSA key does", speaking(0), speaking(1024, "rsa-sha2-256"), false},
		{"an RSA key does, but is too short", speaking(0), speaking(1025, "rsa-sha2-256"), true},
	} {
		if got := LocksOutAdministrators(tt.from, tt.to); (len(got) > 0) != tt.asks {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestEndsSession(t *testing.T) {
	with := func(locked bool) *Config {
		return &Config{Users: []User{{Name: AdminName}, {Name: "ann", Suspended: locked}}}
	}
	without := &Config{Users: []User{{Name: AdminName}}}
	far := func(user string) Who { return Who{User: user, Source: "192.0.2.9"} }
	for _, tt := range []struct {
		name     string
		from, to *Config
		who      Who
		asks     bool
	}{
		{"removed", with(false), without, far("ann"), true},
		{"removed, on the machine", with(false), without, Who{User: "ann", Source: LocalSource}, true},
		{"another removed", with(false), without, far(AdminName), false},
		{"locked", with(false), with(true), far("ann"), true},
		{"locked, on the machine", with(false), with(true), Who{User: "ann", Source: LocalSource}, false},
		{"another locked", with(false), with(true), far(AdminName), false},
		{"unlocked", with(true), with(false), far("ann"), false},
		{"the gateway itself", with(false), without, far(SystemName), false},
	} {
		if got := EndsSession(tt.from, tt.to, tt.who); (len(got) > 0) != tt.asks {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
