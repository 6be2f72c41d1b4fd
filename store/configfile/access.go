package configfile

import (
	"strings"

	"esa/store"
)

// access is who may operate the gateway, and how.
func access() []element[store.Config] {
	return []element[store.Config]{
		users(),
		group("passphrase_policy", func(c *store.Config) *store.PassphrasePolicy { return &c.Passphrases },
			leaf("min_length", number[int](), func(p *store.PassphrasePolicy) *int { return &p.MinLength }),
			leaf("require_mixed_case", flag(), func(p *store.PassphrasePolicy) *bool { return &p.Mixed }),
			leaf("require_number", flag(), func(p *store.PassphrasePolicy) *bool { return &p.Digit }),
			leaf("require_special", flag(), func(p *store.PassphrasePolicy) *bool { return &p.Special }),
			leaf("refuse_username", flag(), func(p *store.PassphrasePolicy) *bool { return &p.NotName }),
			leaf("refuse_former", number[int](), func(p *store.PassphrasePolicy) *int { return &p.Former }),
			leaf("expire_days", number[int](), func(p *store.PassphrasePolicy) *int { return &p.ExpireDays })),
		group("sshd", func(c *store.Config) *store.SSHD { return &c.SSHD },
			leaf("sshd_user_signatures", names(), func(s *store.SSHD) *[]string { return &s.Signatures }),
			leaf("sshd_ciphers", names(), func(s *store.SSHD) *[]string { return &s.Ciphers }),
			leaf("sshd_macs", names(), func(s *store.SSHD) *[]string { return &s.MACs }),
			leaf("sshd_min_key_size", number[int](), func(s *store.SSHD) *int { return &s.MinRSABits }),
			leaf("sshd_kex", names(), func(s *store.SSHD) *[]string { return &s.KEX })),
		group("admin_access", func(c *store.Config) *store.AdminAccess { return &c.AdminAccess },
			leaf("login_banner", text[string](), func(a *store.AdminAccess) *string { return &a.Banner }),
			leaf("welcome_message", text[string](), func(a *store.AdminAccess) *string { return &a.Welcome }),
			leaf("cli_timeout", number[int](), func(a *store.AdminAccess) *int { return &a.Timeout }),
			leaf("restrict_access", flag(), func(a *store.AdminAccess) *bool { return &a.Restrict }),
			values("access_list/address", store.MaxAccessSources, word(store.ParseAccessSource), func(a *store.AdminAccess) *[]string { return &a.Sources })),
		plain("config_archives/archive", func(c *store.Config) *[]store.Archive { return &c.Archives }, store.MaxArchives,
			leaf("archive_name", text[string](), func(a *store.Archive) *string { return &a.Name }),
			leaf("archive_target", text[string](), func(a *store.Archive) *string { return &a.Target }),
			leaf("archive_host_key", text[string](), func(a *store.Archive) *string { return &a.HostKey }),
			secret("archive_private_key", func(a *store.Archive) *store.Secret { return &a.Key }),
			leaf("archive_passphrases", word(store.ParseArchiveSecrets), func(a *store.Archive) *store.ArchiveSecrets { return &a.Secrets }),
			secret("archive_passphrase", func(a *store.Archive) *store.Secret { return &a.Passphrase })),
	}
}

// names is a list of names separated by commas.
func names() codec[[]string] {
	return codec[[]string]{
		func(all []string) string { return strings.Join(all, ",") },
		func(s string) ([]string, error) {
			return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' }), nil
		},
	}
}

// userForm is a user as the file has him.
type userForm struct {
	store.User
	strange bool // his passphrase is kept in a way that this build cannot check
}

func users() element[store.Config] {
	return list[store.Config, userForm]{
		name: "users", item: "user", most: store.MaxUsers, fields: userFields(),
		all: func(c *store.Config) []userForm {
			return formsOf(c.Users, func(u store.User) userForm { return userForm{User: u} })
		},
		keep: func(r *reader, _ tag, c *store.Config, forms []userForm) {
			before := *c
			c.Users = nil
			for _, f := range forms {
				c.Users = append(c.Users, f.entry(r, &before))
			}
		},
	}.element()
}

// entry makes the user. One whose passphrase cannot be taken over keeps the
// one that he has here.
func (f userForm) entry(r *reader, before *store.Config) store.User {
	u := f.User
	if !f.strange {
		return u
	}
	if here, ok := before.User(u.Name); ok {
		u.Passphrase, u.Changed, u.Former, u.MustChange = here.Passphrase, here.Changed, here.Former, here.MustChange
	}
	r.note("The passphrase of the user %q: it is kept in a way that this build cannot check. Use userconfig to set it.", u.Name)
	return u
}

// passphraseMark begins the passphrases that this build can check.
const passphraseMark = "$argon2id$"

func userFields() []element[userForm] {
	passphrase := secret("enc_password", func(f *userForm) *store.Secret { return &f.Passphrase })
	passphrase.read = func(r *reader, e tag, f *userForm) {
		if f.Passphrase = r.secret(e); f.Passphrase != "" && !strings.HasPrefix(f.Passphrase.Reveal(), passphraseMark) {
			f.Passphrase, f.strange = "", true
		}
	}
	return []element[userForm]{
		leaf("username", text[string](), func(f *userForm) *string { return &f.Name }),
		leaf("fullname", text[string](), func(f *userForm) *string { return &f.FullName }),
		leaf("group", codec[store.Role]{store.Role.Group, parseGroup}, func(f *userForm) *store.Role { return &f.Role }),
		passphrase,
		leaf("passphrase_set_on", codec[store.Day]{store.Day.String, store.ParseDay}, func(f *userForm) *store.Day { return &f.Changed }),
		formerPassphrases(),
		leaf("must_change_passphrase", flag(), func(f *userForm) *bool { return &f.MustChange }),
		leaf("locked", flag(), func(f *userForm) *bool { return &f.Suspended }),
		values("authorized_keys/public_key", store.MaxUserKeys, trimmed(), func(f *userForm) *[]string { return &f.Keys }),
	}
}

// trimmed is a text without blanks around it.
func trimmed() codec[string] {
	c := text[string]()
	c.parse = func(s string) (string, error) { return strings.TrimSpace(s), nil }
	return c
}

// parseGroup takes the words of an appliance too that ours differ from.
func parseGroup(s string) (store.Role, error) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "administrators", "administrator":
		return store.Administrators, nil
	case "operator":
		return store.Operators, nil
	case "guests":
		return store.Guests, nil
	}
	return store.ParseRole(s)
}

func formerPassphrases() element[userForm] {
	return element[userForm]{
		name: "former_passphrases",
		write: func(w *writer, f *userForm) {
			w.open("former_passphrases")
			for _, hash := range f.Former {
				w.secret("enc_password", hash)
			}
			w.close("former_passphrases")
		},
		read: func(r *reader, _ tag, f *userForm) {
			f.Former = nil
			readFields(r, []element[userForm]{{name: "enc_password", repeats: true, read: func(r *reader, e tag, f *userForm) {
				if len(f.Former) == store.MaxFormer {
					r.stop(e.at, "There is a maximum of %d former passphrases.", store.MaxFormer)
				}
				f.Former = append(f.Former, r.secret(e))
			}}}, f)
		},
	}
}
