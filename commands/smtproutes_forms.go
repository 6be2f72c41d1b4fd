package commands

import (
	"strings"

	"esa/store"
)

func routesNewForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		if err := roomForRoute(cfg); err != nil {
			return err
		}
		domain, err := freeRouteDomain(cfg, args[0])
		if err != nil {
			return err
		}
		route, err := store.ParseRouteHosts(joinHosts(args[1:]))
		if err != nil {
			return err
		}
		addRoute(d, cfg, domain, route)
		return nil
	})
}

func routesEditForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		i, err := knownRoute(cfg, args[0])
		if err != nil {
			return err
		}
		route, err := store.ParseRouteHosts(joinHosts(args[1:]))
		if err != nil {
			return err
		}
		route.Domain = cfg.Routes[i].Domain
		cfg.Routes[i] = route
		d.Printf("Mapping for %s to %s changed.\n", route.Domain, route)
		return nil
	})
}

// joinHosts makes one list of destinations given as words, with commas or
// without.
func joinHosts(words []string) string {
	var hosts []string
	for _, word := range words {
		if word = strings.Trim(word, ","); word != "" {
			hosts = append(hosts, word)
		}
	}
	return strings.Join(hosts, ",")
}

func routesDeleteForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		i, err := knownRoute(cfg, args[0])
		if err != nil {
			return err
		}
		deleteRoute(d, cfg, i)
		return nil
	})
}

func routesPrintForm(d *Dialog, env Env, _ []string) error {
	printRoutes(d, env.Config())
	return d.Err()
}

func routesImportForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error { return importRoutes(d, env, cfg, args[0]) })
}

func routesExportForm(d *Dialog, env Env, args []string) error {
	return exportRoutes(d, env, env.Config(), args[0])
}

func routesClearForm(d *Dialog, env Env, _ []string) error {
	return env.Edit(func(cfg *store.Config) error {
		clearRoutes(d, cfg)
		return nil
	})
}
