package commands

import (
	"fmt"

	"esa/shell"
	"esa/store"
)

// This file is how profiles come and go as PKCS#12 files, with their keys.

// certImport makes a profile of a file.
func certImport(d *Dialog, env Env, cfg *store.Config) error {
	name, ok := askCertificateName(d, cfg, true)
	if !ok {
		return d.Err()
	}
	running, _ := env.Store.Running()
	file := d.Required(fmt.Sprintf("Enter the name of the file on machine %q to import:", running.Hostname), "")
	if d.Err() != nil {
		return d.Err()
	}
	data, err := env.Files.Read(file)
	if err != nil {
		return fileFailed("Error reading file.", err)
	}
	checkNames := d.YesNo(fqdnQuestion, false)
	passphrase := d.Passphrase("Enter passphrase:")
	if d.Err() != nil {
		return d.Err()
	}
	key, certs, err := store.ReadPKCS12(data, passphrase)
	if err != nil {
		return importFailed(err)
	}
	if certs, err = store.LeafFirst(key, certs); err != nil {
		return errDoesNotSign()
	}
	if checkNames {
		if err := store.CheckFQDN(certs[0]); err != nil {
			return importFailed(err)
		}
	}
	if certs, err = mendChain(d, env, cfg, certs); err != nil {
		return err
	}
	profile, err := store.NewProfile(name, key, certs)
	if err != nil {
		return importFailed(err)
	}
	if err := cfg.PutCertificate(profile); err != nil {
		return err
	}
	d.Printf("Certificate profile %q imported from %s.\n", name, file)
	return d.Err()
}

func importFailed(err error) error { return shell.Refusedf("%w\nImport failed.", err) }

// certExport writes a profile as a file that its passphrase protects.
func certExport(d *Dialog, env Env, cfg *store.Config) error {
	profile := askProfile(d, cfg, "Enter the number of the certificate profile you wish to export:")
	if profile == nil {
		return d.Err()
	}
	file := d.Required("Enter a name for the exported file:", "")
	passphrase := askNewPassphrase(d)
	if d.Err() != nil {
		return d.Err()
	}
	data, err := profile.PKCS12(passphrase)
	if err != nil {
		return err
	}
	if err := env.Files.Write(file, data); err != nil {
		return fileFailed("Error writing file.", err)
	}
	running, _ := env.Store.Running()
	d.Printf("File written on machine %q to the location\n\"/configuration/%s\".\n", running.Hostname, file)
	return d.Err()
}

// askNewPassphrase asks twice, without echo, until both are the same.
func askNewPassphrase(d *Dialog) string {
	for {
		passphrase := d.Secret("Enter passphrase:")
		if again := d.Secret("Enter the same passphrase again:"); d.Err() != nil || again == passphrase {
			return passphrase
		}
		if !d.Refuse(shell.Refusedf("The passphrases do not match.")) {
			return ""
		}
	}
}
