package commands

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"

	"esa/shell"
	"esa/store"
)

// smtproutes says where mail for a domain goes, whatever DNS says.
func smtproutes() Command {
	return Command{
		Name:  "smtproutes",
		Short: "Set up permanent domain redirections.",
		Long: `A route is for a domain, for all below a domain (.example.com), for an address
([192.0.2.1]) or for everything else (ALL). The most specific one wins.

A destination is a host name, [a bracketed one] to use its address records and
not its MX records, or an address; each with :PORT and /pri=N if need be, where
0 is tried first and equal ones take turns. USEDNS by itself goes by DNS,
/dev/null by itself discards. When all hosts of a route are down, mail waits.`,
		Commit: true,
		Forms: []Form{
			{Usage: "smtproutes new SOURCE DEST...", Run: routesNewForm},
			{Usage: "smtproutes edit SOURCE DEST...", Run: routesEditForm},
			{Usage: "smtproutes delete SOURCE", Run: routesDeleteForm},
			{Usage: "smtproutes print", Run: routesPrintForm},
			{Usage: "smtproutes import FILE", Run: routesImportForm},
			{Usage: "smtproutes export FILE", Run: routesExportForm},
			{Usage: "smtproutes clear", Run: routesClearForm},
		},
		Dialog: smtproutesDialog,
	}
}

func smtproutesDialog(d *Dialog, env Env) error {
	return env.Edit(func(cfg *store.Config) error {
		for d.Menu(routesSummary(cfg), routesMenu(cfg)...) {
			switch d.Op() {
			case "NEW":
				routesNew(d, cfg)
			case "EDIT":
				routesEdit(d, cfg)
			case "DELETE":
				routesDelete(d, cfg)
			case "PRINT":
				printRoutes(d, cfg)
			case "IMPORT":
				tell(d, importRoutes(d, env, cfg, d.Required("Enter the name of the file to import:", "")))
			case "EXPORT":
				tell(d, exportRoutes(d, env, cfg, d.Required("Enter a name for the exported file:", "")))
			case "CLEAR":
				if d.YesNo("Are you sure you want to delete all of the configured routes?", false) && d.Err() == nil {
					clearRoutes(d, cfg)
				}
			}
		}
		return d.Err()
	})
}

func routesSummary(cfg *store.Config) string {
	if len(cfg.Routes) == 0 {
		return "There are no routes configured."
	}
	return fmt.Sprintf("There are currently %d routes configured.", len(cfg.Routes))
}

func routesMenu(cfg *store.Config) []shell.Op {
	if len(cfg.Routes) == 0 {
		return []shell.Op{
			{Word: "NEW", Text: "Create a new route."},
			{Word: "IMPORT", Text: "Import new routes from a file."},
		}
	}
	return []shell.Op{
		{Word: "NEW", Text: "Create a new route."},
		{Word: "EDIT", Text: "Edit destinations of an existing route."},
		{Word: "DELETE", Text: "Remove a route."},
		{Word: "PRINT", Text: "Display all routes."},
		{Word: "IMPORT", Text: "Import new routes from a file."},
		{Word: "EXPORT", Text: "Export all routes to a file."},
		{Word: "CLEAR", Text: "Remove all routes."},
	}
}

const routeDomainQuestion = `Enter the domain for which you want to create a permanent route.
Partial hostnames such as ".example.com" are allowed.
Use "ALL" to create a default route.`

func routesNew(d *Dialog, cfg *store.Config) {
	if err := roomForRoute(cfg); err != nil {
		tell(d, err)
		return
	}
	domain := shell.Ask(d, routeDomainQuestion, "", func(s string) (string, error) { return freeRouteDomain(cfg, s) })
	route := shell.Ask(d, destinationsQuestion(domain), "", store.ParseRouteHosts)
	if d.Err() == nil {
		addRoute(d, cfg, domain, route)
	}
}

func roomForRoute(cfg *store.Config) error {
	if len(cfg.Routes) >= store.MaxRoutes {
		return shell.Refusedf("There is a maximum of %d routes.", store.MaxRoutes)
	}
	return nil
}

func destinationsQuestion(domain string) string {
	return fmt.Sprintf(`Enter the destination hosts, separated by commas, which you want mail
for %s to be delivered.
Enter USEDNS by itself to use normal DNS resolution for this route.
Enter /dev/null by itself if you wish to discard the mail.
Enclose in square brackets to force resolution via address (A)
records, ignoring any MX records.`, domain)
}

// freeRouteDomain reads the domain of a route that is not there yet.
func freeRouteDomain(cfg *store.Config, text string) (string, error) {
	domain, err := store.ParseRouteDomain(text)
	switch {
	case err != nil:
		return "", err
	case routeIndex(cfg, domain) < 0:
		return domain, nil
	case domain == defaultRoute:
		return "", shell.Refusedf("There is already a default route set.")
	}
	return "", shell.Refusedf("The value %s is already in the routing table.", domain)
}

// defaultRoute is the domain of the route for everything else.
const defaultRoute = "ALL"

// knownRoute reads the domain of a route that is there, and gives its index.
func knownRoute(cfg *store.Config, text string) (int, error) {
	domain, err := store.ParseRouteDomain(text)
	if err != nil {
		return -1, err
	}
	i := routeIndex(cfg, domain)
	if i < 0 {
		return -1, shell.Refusedf("The entry %s does not appear to be in the routing table.", domain)
	}
	return i, nil
}

func routeIndex(cfg *store.Config, domain string) int {
	return slices.IndexFunc(cfg.Routes, func(r store.Route) bool { return r.Domain == domain })
}

// addRoute is where dialog and one-line form of NEW meet.
func addRoute(d *Dialog, cfg *store.Config, domain string, route store.Route) {
	route.Domain = domain
	cfg.Routes = append(cfg.Routes, route)
	d.Printf("Mapping for %s to %s created.\n", domain, route)
}

func routesEdit(d *Dialog, cfg *store.Config) {
	i := askRoute(d, cfg, "Enter the domain of the route you wish to edit.")
	if d.Err() != nil {
		return
	}
	route := cfg.Routes[i]
	route.Domain = shell.Ask(d, "Enter the new domain for this route, or press Enter to keep it.", route.Domain, func(s string) (string, error) {
		if n, err := knownRoute(cfg, s); err == nil && n == i {
			return route.Domain, nil
		}
		return freeRouteDomain(cfg, s)
	})
	ops := []shell.Op{
		{Word: "ADD", Text: "Add additional destination hosts."},
		{Word: "REPLACE", Text: "Replace the destination hosts."},
		{Word: "REMOVE", Text: "Remove a destination host."},
	}
	for d.Menu(fmt.Sprintf("%s -> %s", route.Domain, route), ops...) {
		switch d.Op() {
		case "ADD":
			route = addDestinations(d, route)
		case "REPLACE":
			route = replaceDestinations(d, route)
		case "REMOVE":
			route = removeDestination(d, route)
		}
	}
	if d.Err() == nil {
		cfg.Routes[i] = route
	}
}

// addDestinations adds hosts to those there are; USEDNS and /dev/null stand
// alone.
func addDestinations(d *Dialog, route store.Route) store.Route {
	if route.UseDNS || route.Discard {
		tell(d, shell.Refusedf("The value %s must be entered by itself. Use REPLACE.", route))
		return route
	}
	return shell.Ask(d, "Enter the additional destination hosts, separated by commas.", "", func(s string) (store.Route, error) {
		more, err := store.ParseRouteHosts(s)
		if err == nil {
			more, err = store.ParseRouteHosts(route.String() + ", " + s)
		}
		if err != nil {
			return route, err
		}
		more.Domain = route.Domain
		return more, nil
	})
}

func replaceDestinations(d *Dialog, route store.Route) store.Route {
	replaced := shell.Ask(d, destinationsQuestion(route.Domain), "", store.ParseRouteHosts)
	replaced.Domain = route.Domain
	return replaced
}

func removeDestination(d *Dialog, route store.Route) store.Route {
	if len(route.Hosts) < 2 {
		tell(d, shell.Refusedf("A route needs a destination. Use REPLACE."))
		return route
	}
	names := make([]string, len(route.Hosts))
	for i, h := range route.Hosts {
		names[i] = h.String()
	}
	i := d.Choose("Choose the destination host to remove.", names, -1)
	if d.Err() == nil {
		route.Hosts = slices.Delete(slices.Clone(route.Hosts), i, i+1)
	}
	return route
}

// askRoute asks for a route that is there, by its domain.
func askRoute(d *Dialog, cfg *store.Config, question string) int {
	return shell.Ask(d, question, "", func(s string) (int, error) { return knownRoute(cfg, s) })
}

func routesDelete(d *Dialog, cfg *store.Config) {
	i := askRoute(d, cfg, "Enter the domain of the route you wish to delete.")
	if d.Err() != nil {
		return
	}
	if cfg.Routes[i].Domain == defaultRoute && !d.YesNo("Are you sure you want to reset the default route?", false) {
		return
	}
	if d.Err() == nil {
		deleteRoute(d, cfg, i)
	}
}

// deleteRoute is where dialog and one-line form of DELETE meet.
func deleteRoute(d *Dialog, cfg *store.Config, i int) {
	d.Printf("Mapping for %s removed.\n", cfg.Routes[i].Domain)
	cfg.Routes = slices.Delete(cfg.Routes, i, i+1)
}

func printRoutes(d *Dialog, cfg *store.Config) {
	if len(cfg.Routes) == 0 {
		d.Text(routesSummary(cfg))
	}
	for _, r := range cfg.Routes {
		d.Printf("%s -> %s\n", r.Domain, r)
	}
}

// importRoutes puts the routes of a file in place of those there are.
func importRoutes(d *Dialog, env Env, cfg *store.Config, name string) error {
	if d.Err() != nil {
		return d.Err()
	}
	text, err := env.Files.Read(name)
	if err != nil {
		return fileFailed("Error reading file.", err)
	}
	routes, err := store.ParseRoutes(bytes.NewReader(text))
	if err != nil {
		return shell.Refusedf("%w\nImport failed.", err)
	}
	// An empty file is a mistake more often than a wish: that has its own word.
	if len(routes) == 0 {
		return shell.Refusedf("The file %q holds no route.\nImport failed.", name)
	}
	cfg.Routes = routes
	d.Printf("%d routes successfully imported from %s.\n", len(routes), name)
	return nil
}

func exportRoutes(d *Dialog, env Env, cfg *store.Config, name string) error {
	if d.Err() != nil {
		return d.Err()
	}
	var text bytes.Buffer
	if err := store.WriteRoutes(&text, cfg.Routes); err != nil {
		return err
	}
	if err := env.Files.Write(name, text.Bytes()); err != nil {
		return fileFailed("Error writing file.", err)
	}
	d.Printf("%d routes exported to %s.\n", len(cfg.Routes), name)
	return nil
}

// fileFailed makes a fault of the file system one that operators see in the
// words of the appliance. Other errors are refusals already.
func fileFailed(what string, err error) error {
	var path *fs.PathError
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return shell.Refusedf("%s\nConfiguration filesystem is full.", what)
	case errors.As(err, &path):
		return shell.Refusedf("%s\nUnable to perform operation due to an I/O error: %w.", what, path.Err)
	}
	return err
}

// clearRoutes is where dialog and one-line form of CLEAR meet.
func clearRoutes(d *Dialog, cfg *store.Config) {
	d.Printf("%d routes removed.\n", len(cfg.Routes))
	cfg.Routes = nil
}
