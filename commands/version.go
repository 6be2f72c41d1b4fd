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
	memory := v.MemoryMB
	d.Text("Current Version\n===============")
	d.Printf("Product: %s\nModel: %s\nVersion: %s\nBuild: %s\n", v.Product, v.Model, v.Version, v.Build)
	d.Printf("Install Date: %s\nSerial #: %s\nBIOS: NA\n", v.Installed.Format(time.DateTime), v.Serial)
	d.Printf("CPUs: %d expected, %d allocated\n", runtime.NumCPU(), runtime.NumCPU())
	d.Printf("Memory: %d MB expected, %d MB allocated\n", memory, memory)
	d.Text("RAID: NA\nRAID Status: Unknown\nRAID Type: NA\nBMC: NA")
	return d.Err()
}
