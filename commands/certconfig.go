package commands

import (
	"fmt"
	"slices"
	"strings"

	"esa/shell"
	"esa/store"
)

// certconfig keeps certificates with their keys, and the authorities that
// peers are verified against (reference esa-cli-config 3).
func certconfig() Command {
	return Command{
		Name:  "certconfig",
		Short: "Configure security certificates and keys.",
		Long: `A certificate profile is a private key and the certificates for it. NEW makes
one with a self-signed certificate and a signing request (CSR): commit, have a
certificate authority sign the request, and put its certificate in place with
EDIT, the intermediate certificates after it. The private key leaves the machine
with EXPORT only.

A profile is chosen for receiving with listenerconfig -> EDIT -> CERTIFICATE,
and for delivery with destconfig -> SETUP. PRINT tells which service uses which,
and what is wrong with it. The certificate Demo is there from the start: it
encrypts, and nobody can verify it.

CERTAUTHORITY says which authorities peers are verified against: those that the
machine trusts (SYSTEM) and those imported (CUSTOM). TLSA shows the DNS records
that let senders authenticate our listeners by DANE, and compares them with what
is published: 3 1 1 names the key of the certificate, 2 1 1 that of its issuer.
Publish those of a new key some TTLs before it is committed. Files are read
from and written to the directory configuration/.

CRL keeps certificate revocation lists. A list is fetched by http or https when
its refresh says so and when it becomes outdated, and must be signed by one of
the authorities of CERTAUTHORITY. SETUP chooses what is checked: certificates of
clients where a mail flow policy verifies them, those of servers where a
destination does. A list that is missing, or outdated and not to be had, revokes
nothing: mail goes on, and the log and an alert tell. SCHEDULE is "daily at
HH:MM", "every DAY at HH:MM" or "every N hours", in quotes.`,
		Commit: true,
		Forms: []Form{
			{Usage: "certconfig print", Run: certPrintForm},
			{Usage: "certconfig tlsa", Run: func(d *Dialog, env Env, _ []string) error {
				showTLSA(d, env, env.Config())
				return d.Err()
			}},
			{Usage: usage("certconfig new PROFILE", newKeys(&newCertificate{})), Run: certNewForm},
			{Usage: "certconfig csr PROFILE", Run: certRequestForm},
			{Usage: "certconfig delete PROFILE", Run: certDeleteForm},
			{Usage: "certconfig certauthority system|custom enable|disable|print", Run: authorityForm},
			{Usage: "certconfig certauthority system|custom export FILE [AUTHORITY]", Run: authorityExportForm},
			{Usage: "certconfig certauthority custom import FILE", Run: authorityImportForm},
			{Usage: "certconfig certauthority custom delete AUTHORITY", Run: authorityDeleteForm},
			{Usage: usage("certconfig crl new|edit LIST", crlKeys(&store.CRLSource{})), Run: crlSetForm},
			{Usage: "certconfig crl delete LIST", Run: crlDeleteForm},
			{Usage: usage("certconfig crl setup", crlUseKeys(&crlUse{})), Run: crlSetupForm},
			{Usage: "certconfig crl print", Run: crlPrintForm},
			{Usage: "certconfig crl update [LIST]", Run: crlUpdateForm},
		},
		Dialog: certDialog,
	}
}

func certDialog(d *Dialog, env Env) error {
	return env.Edit(func(cfg *store.Config) error {
		ops := []shell.Op{
			{Word: "CERTIFICATE", Text: "Import, Create a request, Edit or Remove Certificate Profiles"},
			{Word: "CERTAUTHORITY", Text: "Manage System and Customized Authorities"},
			{Word: "CRL", Text: "Manage Certificate Revocation Lists"},
			{Word: "TLSA", Text: "View the TLSA records to publish for listeners"},
		}
		for d.Menu("", ops...) {
			switch d.Op() {
			case "CERTIFICATE":
				certificateMenu(d, env, cfg)
			case "CERTAUTHORITY":
				authorityMenu(d, env, cfg)
			case "CRL":
				crlMenu(d, env, cfg)
			case "TLSA":
				showTLSA(d, env, cfg)
			}
		}
		return d.Err()
	})
}

func certificateMenu(d *Dialog, env Env, cfg *store.Config) {
	ops := []shell.Op{
		{Word: "IMPORT", Text: "Import a certificate from a local PKCS#12 file"},
		{Word: "PASTE", Text: "Paste a certificate into the CLI"},
		{Word: "NEW", Text: "Create a self-signed certificate and CSR"},
		{Word: "EDIT", Text: "Update certificate or view the signing request"},
		{Word: "EXPORT", Text: "Export a certificate"},
		{Word: "DELETE", Text: "Remove a certificate"},
		{Word: "PRINT", Text: "View certificates assigned to services"},
	}
	for d.Menu(certificateList(env, cfg), ops...) {
		switch d.Op() {
		case "IMPORT":
			tell(d, certImport(d, env, cfg))
		case "PASTE":
			tell(d, certPaste(d, env, cfg))
		case "NEW":
			tell(d, certNew(d, env, cfg))
		case "EDIT":
			tell(d, certEdit(d, env, cfg))
		case "EXPORT":
			tell(d, certExport(d, env, cfg))
		case "DELETE":
			tell(d, certDelete(d, cfg))
		case "PRINT":
			d.Text(certPrint(d, env, cfg))
		}
	}
}

// certificateList is the table above the menu. Names are cut to their columns.
func certificateList(env Env, cfg *store.Config) string {
	var b strings.Builder
	b.WriteString("List of Certificates\n")
	b.WriteString(certificateRow("Name", "Common Name", "Issued By", "Status", "Remaining"))
	b.WriteString("--------- -------------------- -------------------- ------------- ---------\n")
	for _, name := range cfg.CertificateNames() {
		leaf, err := cfg.Certificate(name).Leaf()
		if err != nil {
			b.WriteString(certificateRow(name, "", "", "Invalid", ""))
			continue
		}
		word, days := store.ValidityOf(leaf, env.Clock())
		b.WriteString(certificateRow(name, store.CommonName(leaf), store.IssuerName(leaf), string(word), count(days, "day")))
	}
	return b.String()
}

func certificateRow(cells ...any) string {
	return strings.TrimRight(fmt.Sprintf("%-9.9s %-20.20s %-20.20s %-13.13s %s", cells...), " ") + "\n"
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// askCertificateName asks for the name of a profile that is made or brought.
// Where that name is taken and may be, it asks whether to overwrite; ok is
// false if not.
func askCertificateName(d *Dialog, cfg *store.Config, overwrite bool) (name string, ok bool) {
	for d.Err() == nil {
		name, err := certificateName(cfg, d.Free("Enter a name for this certificate profile:"), overwrite)
		if d.Err() != nil {
			break
		}
		if err != nil {
			d.Refuse(refused(err))
			continue
		}
		if cfg.Certificate(name) == nil {
			return name, true
		}
		return name, d.YesNo(fmt.Sprintf("Certificate profile %q already exists. Do you want to overwrite with this new one?", name), false)
	}
	return "", false
}

// certificateName reads a name that no profile has, or that one has which may
// be overwritten.
func certificateName(cfg *store.Config, text string, overwrite bool) (string, error) {
	name, err := store.ParseCertificateName(text)
	if err != nil {
		return "", err
	}
	if strings.EqualFold(name, store.DemoCertificate) {
		return "", shell.Refusedf("The name %s is that of the demo certificate. Choose another one.", store.DemoCertificate)
	}
	taken := cfg.Certificate(name) != nil
	if taken && !overwrite {
		return "", shell.Refusedf("Certificate profile %q already exists.", name)
	}
	if !taken {
		return name, cfg.RoomForCertificate()
	}
	return name, nil
}

// certNew makes a key, a certificate that is signed with it, and the request
// for one that an authority signs.
func certNew(d *Dialog, env Env, cfg *store.Config) error {
	name, ok := askCertificateName(d, cfg, false)
	if !ok {
		return d.Err()
	}
	subject := askSubject(d)
	kind := askKeyType(d)
	subject.DNSNames = askDNSNames(d)
	if d.Err() != nil {
		return d.Err()
	}
	profile, err := makeCertificate(d, env, cfg, newCertificate{name, kind, subject})
	if err != nil {
		return err
	}
	viewRequest(d, env, profile)
	return d.Err()
}

// newCertificate is what NEW is told.
type newCertificate struct {
	name    string
	kind    store.KeyType
	subject store.Subject
}

// makeCertificate is where dialog and one-line form of NEW meet.
func makeCertificate(d *Dialog, env Env, cfg *store.Config, n newCertificate) (store.Certificate, error) {
	d.Printf("\nMaking a private key (%s). This can take some seconds.\n", keyText(n.kind))
	key, err := env.NewKey(n.kind)
	if err != nil {
		return store.Certificate{}, err
	}
	if d.Err() != nil {
		return store.Certificate{}, d.Err()
	}
	profile, err := store.NewCertificate(n.name, key, n.subject, env.Clock())
	if err != nil {
		return profile, err
	}
	return profile, cfg.PutCertificate(profile)
}

// askSubject asks what the certificate is to say. All but the duration is
// required.
func askSubject(d *Dialog) store.Subject {
	var s store.Subject
	s.CommonName = askCommonName(d)
	s.Organization = askField(d, "Enter Organization:", store.MaxOrganization)
	s.Unit = askField(d, "Enter Organizational Unit:", store.MaxOrganization)
	s.Locality = askField(d, "Enter Locality or City:", store.MaxPlace)
	s.Province = askField(d, "Enter State or Province:", store.MaxPlace)
	s.Country = askFree(d, "Enter Country (2 letter code):", store.ParseCountry)
	s.Days = d.Int("Duration before expiration (in days):", defaultDays, 1, store.MaxCertificateDays)
	return s
}

// defaultDays is how long a self-signed certificate is valid.
const defaultDays = 3650

// fqdnQuestion is asked where names come in (reference esa-cli-config 3.4).
const fqdnQuestion = `Do you want to check if Common Name or SAN:dNSName or both are in Fully Qualified Domain
Name(FQDN) format ?`

// askCommonName asks for the name of the host, again if it was to be checked
// and is not one.
func askCommonName(d *Dialog) string {
	for {
		name := askField(d, "Enter Common Name:", store.MaxCommonName)
		if !d.YesNo(fqdnQuestion, false) {
			return name
		}
		if err := store.ParseFQDN(name); err == nil || !d.Refuse(err) {
			return name
		}
	}
}

// askField asks for a field of the subject.
func askField(d *Dialog, question string, most int) string {
	return askFree(d, question, func(text string) (string, error) { return store.ParseSubjectField(text, most) })
}

// askFree asks at the bare prompt of free texts until parse takes the answer.
func askFree(d *Dialog, question string, parse func(string) (string, error)) string {
	for {
		value, err := parse(d.Free(question))
		if d.Err() != nil || err == nil || !d.Refuse(refused(err)) {
			return value
		}
	}
}

func askKeyType(d *Dialog) store.KeyType {
	kinds := store.KeyTypes()
	var list strings.Builder
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		names[i] = string(kind)
		fmt.Fprintf(&list, "%d. %s\n", i+1, kind)
	}
	return kinds[max(0, d.Pick(list.String()+"Enter size of private key:", names, 0))]
}

// keyText tells a kind of key in words.
func keyText(kind store.KeyType) string {
	if kind == store.P256 {
		return string(kind)
	}
	return "RSA, " + string(kind) + " bits"
}

func askDNSNames(d *Dialog) []string {
	if !d.YesNo("Do you want to add further DNS names (SAN:dNSName) to the certificate?", false) {
		return nil
	}
	return shell.Ask(d, "Enter the DNS names, separated by commas:", "", store.ParseDNSNames)
}

// viewRequest offers the signing request. One whose key is not committed could
// be signed in vain: that is said before it is copied.
func viewRequest(d *Dialog, env Env, profile store.Certificate) {
	if profile.Request == "" || !d.YesNo("Do you want to view the CSR?", true) {
		return
	}
	showRequest(d, env, profile)
}

func showRequest(d *Dialog, env Env, profile store.Certificate) {
	d.Text("\n" + string(profile.Request))
	running, _ := env.Store.Running()
	if kept := running.Certificate(profile.Name); kept == nil || kept.Key != profile.Key {
		d.Text(`
WARNING: The private key of this request is not committed. Commit your changes
before you send the request to a certificate authority: without its key, the
certificate that comes back cannot be used.`)
	}
}

// askProfile asks for one of the profiles, by its number or name.
func askProfile(d *Dialog, cfg *store.Config, question string) *store.Certificate {
	names := cfg.CertificateNames()
	if len(names) == 0 {
		tell(d, shell.Refusedf("There is no certificate profile."))
		return nil
	}
	var list strings.Builder
	for i, name := range names {
		fmt.Fprintf(&list, "%d. %s\n", i+1, certificateText(*cfg.Certificate(name)))
	}
	n := d.Pick(list.String()+question, names, -1)
	if d.Err() != nil {
		return nil
	}
	return cfg.Certificate(names[n])
}

// certificateText is a profile in the lists of a question.
func certificateText(c store.Certificate) string {
	leaf, err := c.Leaf()
	if err != nil {
		return c.Name
	}
	return fmt.Sprintf("%s (%s)", c.Name, store.CommonName(leaf))
}

// certDelete removes a profile that nobody uses.
func certDelete(d *Dialog, cfg *store.Config) error {
	profile := askProfile(d, cfg, "Enter the number of the certificate profile you wish to delete:")
	if profile == nil {
		return d.Err()
	}
	if err := deletableCertificate(cfg, profile.Name); err != nil {
		return err
	}
	if d.YesNo(fmt.Sprintf("Are you sure you want to delete %q?", profile.Name), false) {
		deleteCertificate(d, cfg, profile.Name)
	}
	return d.Err()
}

// deletableCertificate refuses to delete the demo certificate and those in use.
func deletableCertificate(cfg *store.Config, name string) error {
	if name == store.DemoCertificate {
		return shell.Refusedf("The demo certificate cannot be deleted.")
	}
	if uses := cfg.CertificateUses(name); len(uses) > 0 {
		return shell.Refusedf("Certificate profile %q is in use by %s. Choose another one there first.", name, strings.Join(uses, ", "))
	}
	return nil
}

// deleteCertificate is where dialog and one-line form of DELETE meet.
func deleteCertificate(d *Dialog, cfg *store.Config, name string) {
	cfg.Certificates = slices.DeleteFunc(cfg.Certificates, func(c store.Certificate) bool { return c.Name == name })
	d.Printf("Certificate profile %q removed.\n", name)
}
