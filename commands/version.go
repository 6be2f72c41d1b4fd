package commands

import (
	"runtime"
	"time"
)

// version shows what runs here, in the fields that inventory tools read
// (reference esa-operations 1.6).
func version() Command {
	return Command{
		Name:  "version",
		Short: "Show the version.",
		Forms: []Form{{Usage: "version", Run: versionForm}},
	}
}

func versionForm(d *Dialog, env Env, _ []string) error {
	v := env.Version
	built, cpus := "Unknown", runtime.NumCPU()
	if !v.Built.IsZero() {
		built = v.Built.Format(time.DateOnly)
	}
	d.Text("Current Version\n===============")
	d.Printf("Product: %s\nModel: %s\nVersion: %s\n", v.Product, v.Model, v.Version)
	d.Printf("Build Date: %s\nInstall Date: %s\nSerial #: %s\n", built, v.Installed.Format(time.DateTime), v.Serial)
	d.Printf("BIOS: NA\nCPUs: %d expected, %d allocated\n", cpus, cpus)
	d.Printf("Memory: %d MB expected, %d MB allocated\n", v.MemoryMB, v.MemoryMB)
	d.Printf("RAID: NA\nRAID Status: Unknown\nRAID Type: NA\nBMC: NA\nBuild: %s\n", v.Build)
	return d.Err()
}
