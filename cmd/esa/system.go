package main

import (
	"crypto/x509"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"esa/commands"
	"esa/mta/socket"
	"esa/store"
)

// build is the version from git, set by the linker.
var build = "unknown"

// release is the version that inventory tools compare: digits, dots, a dash.
const release = "0.1.0-001"

// productVersion is what version shows of this build and, where there is one,
// of the installation in dir.
func productVersion(dir string) commands.Version {
	v := commands.Version{
		Product: "esa mail gateway", Model: "esa", Version: release, Build: build, Built: buildTime(), MemoryMB: memoryMB("/proc/meminfo"),
	}
	path := filepath.Join(dir, "serial")
	if info, err := os.Stat(path); err == nil {
		v.Installed = info.ModTime()
	}
	if text, err := os.ReadFile(path); err == nil {
		v.Serial = strings.TrimSpace(string(text))
	}
	return v
}

// buildTime is the time of the commit that was built; zero where the binary does
// not say.
func buildTime() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.time" {
			t, _ := time.Parse(time.RFC3339, setting.Value)
			return t
		}
	}
	return time.Time{}
}

// memoryMB reads how much memory the machine has; 0 where nothing says so.
func memoryMB(meminfo string) int {
	text, err := os.ReadFile(meminfo)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) >= 2 && fields[0] == "MemTotal:" {
			kb, _ := strconv.Atoi(fields[1])
			return kb / 1024
		}
	}
	return 0
}

// factory is the configuration of a new data directory, with a demo
// certificate of its own.
func factory(diag *slog.Logger) *store.Config {
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	if _, err := store.ParseHostname(name); err != nil {
		name = "localhost"
	}
	key, err := store.NewKey(store.RSA2048)
	var demo store.Certificate
	if err == nil {
		demo, err = store.NewDemo(key, time.Now())
	}
	if err != nil {
		diag.Error("the factory configuration has no demo certificate", "err", err)
	}
	return store.Factory(store.FactoryFacts{Hostname: name, DNS: systemServers("/etc/resolv.conf"), Demo: demo})
}

// systemServers reads the DNS servers the system uses.
func systemServers(resolvConf string) []netip.AddrPort {
	text, err := os.ReadFile(resolvConf)
	if err != nil {
		return nil
	}
	var servers []netip.AddrPort
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(fields[1]); err == nil && addr.Zone() == "" {
			servers = append(servers, netip.AddrPortFrom(addr.Unmap(), 53))
		}
	}
	return servers
}

// machine is the system as commands see it.
type machine struct{}

// Addresses lists what the system's devices have.
func (machine) Addresses() ([]commands.Address, error) {
	devices, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var all []commands.Address
	for _, device := range devices {
		addrs, err := device.Addrs()
		if err != nil {
			return nil, err
		}
		for _, addr := range addrs {
			if prefix, err := netip.ParsePrefix(addr.String()); err == nil {
				all = append(all, commands.Address{Prefix: prefix, Device: device.Name})
			}
		}
	}
	return all, nil
}

// Authorities reads them anew: the system's list changes without us.
func (machine) Authorities() ([]*x509.Certificate, error) { return store.SystemAuthorities() }

// Has binds the address to find out whether the system has it.
func (machine) Has(addr netip.Addr) error { return socket.Local(addr) }
