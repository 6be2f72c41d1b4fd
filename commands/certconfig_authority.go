package commands

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"esa/shell"
	"esa/store"
)

// This file is the authorities that peers are verified against: certconfig ->
// CERTAUTHORITY (reference esa-cli-config 3.3).

func authorityMenu(d *Dialog, env Env, cfg *store.Config) {
	ops := []shell.Op{
		{Word: "CUSTOM", Text: "Manage Custom Certificate Authorities"},
		{Word: "SYSTEM", Text: "Manage System Certificate Authorities"},
	}
	for d.Menu(authoritySummary(cfg), ops...) {
		switch d.Op() {
		case "CUSTOM":
			customMenu(d, env, cfg)
		case "SYSTEM":
			systemMenu(d, env, cfg)
		}
	}
}

func authoritySummary(cfg *store.Config) string {
	return fmt.Sprintf("Certificate Authority Summary\nCustom List: %s\nSystem List: %s\n", enabled(cfg.Authorities.Custom), enabled(cfg.Authorities.System))
}

func enabled(on bool) string {
	if on {
		return "Enabled"
	}
	return "Disabled"
}

// switchOp is the operation that turns a list the other way.
func switchOp(on bool, list string) shell.Op {
	if on {
		return shell.Op{Word: "DISABLE", Text: "Disable the " + list + " Certificate Authorities List"}
	}
	return shell.Op{Word: "ENABLE", Text: "Enable the " + list + " Certificate Authorities List"}
}

func customMenu(d *Dialog, env Env, cfg *store.Config) {
	for d.Err() == nil {
		list := &cfg.Authorities
		ops := []shell.Op{
			switchOp(list.Custom, "Custom"),
			{Word: "IMPORT", Text: "Import Custom Certificate Authorities"},
		}
		if len(list.List) > 0 {
			ops = append(ops,
				shell.Op{Word: "EXPORT", Text: "Export Custom Certificate Authorities"},
				shell.Op{Word: "PRINT", Text: "Print Custom Certificate Authorities"},
				shell.Op{Word: "DELETE", Text: "Delete a Custom Certificate Authority"})
		}
		summary := fmt.Sprintf("Custom List: %s (%s)", enabled(list.Custom), count(len(list.List), "certificate"))
		if !d.Menu(summary, ops...) {
			return
		}
		switch d.Op() {
		case "ENABLE", "DISABLE":
			enableAuthorities(d, &list.Custom, d.Op() == "ENABLE", "custom")
		case "IMPORT":
			file := d.Required("Enter the name of the file to import:", "")
			fqdn := d.YesNo(fqdnQuestion, false)
			tell(d, importAuthorities(d, env, cfg, authorityFile{file, fqdn}))
		case "EXPORT":
			tell(d, askAuthorityExport(d, env, customAuthorities(cfg)))
		case "PRINT":
			d.Text(authorityTable(customAuthorities(cfg)))
		case "DELETE":
			askAuthorityDelete(d, cfg)
		}
	}
}

func systemMenu(d *Dialog, env Env, cfg *store.Config) {
	for d.Err() == nil {
		ops := []shell.Op{
			switchOp(cfg.Authorities.System, "System"),
			{Word: "EXPORT", Text: "Export System Certificate Authorities"},
			{Word: "PRINT", Text: "Print System Certificate Authorities"},
		}
		if !d.Menu("System List: "+enabled(cfg.Authorities.System), ops...) {
			return
		}
		switch d.Op() {
		case "ENABLE", "DISABLE":
			enableAuthorities(d, &cfg.Authorities.System, d.Op() == "ENABLE", "system")
		case "EXPORT":
			all, err := systemAuthorities(env)
			if err == nil {
				err = askAuthorityExport(d, env, all)
			}
			tell(d, err)
		case "PRINT":
			all, err := systemAuthorities(env)
			if err == nil {
				d.Text(authorityTable(all))
			}
			tell(d, err)
		}
	}
}

// enableAuthorities is where dialog and one-line form of ENABLE and DISABLE
// meet.
func enableAuthorities(d *Dialog, place *bool, on bool, list string) {
	*place = on
	d.Printf("The %s list of certificate authorities is %s.\n", list, strings.ToLower(enabled(on)))
}

func customAuthorities(cfg *store.Config) []*x509.Certificate {
	var certs []*x509.Certificate
	for _, authority := range cfg.Authorities.List {
		if cert, err := authority.Certificate(); err == nil {
			certs = append(certs, cert)
		}
	}
	return certs
}

// systemAuthorities gives the system's list, by name.
func systemAuthorities(env Env) ([]*x509.Certificate, error) {
	all, err := env.Machine.Authorities()
	if err != nil {
		return nil, shell.Refusedf("The list of the system's certificate authorities cannot be read: %w.", err)
	}
	return all, nil
}

// authorityTable lists authorities by name; the fingerprint tells two of one
// name apart.
func authorityTable(certs []*x509.Certificate) string {
	certs = slices.Clone(certs)
	slices.SortStableFunc(certs, func(a, b *x509.Certificate) int {
		return strings.Compare(strings.ToLower(store.CommonName(a)), strings.ToLower(store.CommonName(b)))
	})
	rows := [][]string{{"Name", "Expires", "SHA-256"}, {"----", "-------", "-------"}}
	for _, cert := range certs {
		rows = append(rows, []string{store.CommonName(cert), cert.NotAfter.UTC().Format("2006-01-02"), store.Fingerprint(cert)})
	}
	return shell.Columns(rows)
}

// authorityFile is a file to import, and whether names in it must be those of
// hosts.
type authorityFile struct {
	name string
	fqdn bool
}

// importAuthorities adds the certificates of a file to the custom list, and
// tells of each that is left out.
func importAuthorities(d *Dialog, env Env, cfg *store.Config, from authorityFile) error {
	if d.Err() != nil {
		return d.Err()
	}
	text, err := env.Files.Read(from.name)
	if err != nil {
		return fileFailed("Error reading file.", err)
	}
	certs, err := store.ReadAuthorities(text)
	if err != nil {
		return importFailed(err)
	}
	// What the system trusts can stand above an intermediate; where it cannot
	// be read, the file has to hold the root itself.
	known, _ := env.Machine.Authorities()
	added, refused := cfg.Authorities.AddAuthorities(certs, store.AuthorityCheck{Now: env.Clock(), Known: known, FQDN: from.fqdn})
	for _, why := range refused {
		d.Printf("Not imported: %s.\n", why)
	}
	if added == 0 {
		return shell.Refusedf("The file %q holds no certificate to import.\nImport failed.", from.name)
	}
	d.Printf("%s imported from %s.\n", count(added, "certificate"), from.name)
	if !cfg.Authorities.Custom {
		d.Text("NOTE: The custom list is disabled: its authorities are trusted once it is enabled.")
	}
	return nil
}

// askAuthorityExport asks which of certs to write.
func askAuthorityExport(d *Dialog, env Env, certs []*x509.Certificate) error {
	which := certs
	if !d.YesNo("Do you want to export all certificates?", true) {
		n := d.Pick("Enter the name of the certificate authority to export:", authorityNames(certs), -1)
		if d.Err() != nil {
			return d.Err()
		}
		which = certs[n : n+1]
	}
	return exportAuthorities(d, env, which, d.Required("Enter a name for the exported file:", ""))
}

// authorityNames gives the names that authorities are chosen by, each once: of
// two with one name, the second has its fingerprint behind it.
func authorityNames(certs []*x509.Certificate) []string {
	names := make([]string, len(certs))
	for i, cert := range certs {
		names[i] = store.CommonName(cert)
		if slices.Contains(names[:i], names[i]) {
			names[i] += " " + store.Fingerprint(cert)
		}
	}
	return names
}

// exportAuthorities writes certificates one after the other, each under a line
// with its name.
func exportAuthorities(d *Dialog, env Env, certs []*x509.Certificate, file string) error {
	if d.Err() != nil {
		return d.Err()
	}
	var text bytes.Buffer
	for _, cert := range certs {
		fmt.Fprintf(&text, "# %s\n", store.CommonName(cert))
		if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}); err != nil {
			return err
		}
	}
	if err := env.Files.Write(file, text.Bytes()); err != nil {
		return fileFailed("Error writing file.", err)
	}
	d.Printf("%s exported to %s.\n", count(len(certs), "certificate"), file)
	return nil
}

func askAuthorityDelete(d *Dialog, cfg *store.Config) {
	names := authorityNames(customAuthorities(cfg))
	n := d.Choose("Choose the certificate authority to delete.", names, -1)
	if d.Err() != nil {
		return
	}
	if d.YesNo(fmt.Sprintf("Are you sure you want to delete %q?", names[n]), false) {
		deleteAuthority(d, cfg, n)
	}
}

// deleteAuthority is where dialog and one-line form of DELETE meet.
func deleteAuthority(d *Dialog, cfg *store.Config, n int) {
	all := customAuthorities(cfg)
	gone := store.Authority(store.EncodeCertificates(all[n : n+1]))
	cfg.Authorities.List = slices.DeleteFunc(cfg.Authorities.List, func(a store.Authority) bool { return a == gone })
	d.Printf("Certificate authority %q removed.\n", authorityNames(all)[n])
}
