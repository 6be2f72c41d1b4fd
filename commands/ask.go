package commands

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"esa/shell"
)

// What dialogs and one-line forms share, beyond the questions of the shell.

// tell shows why an operation of a menu failed; the menu goes on.
func tell(d *Dialog, err error) {
	if err != nil && d.Err() == nil {
		d.Refuse(refused(err))
	}
}

// onlyNo asks about something that this build does not have: Yes is refused.
func onlyNo(d *Dialog, question, why string) {
	for d.YesNo(question, false) && d.Refuse(shell.Refusedf("%s", why)) {
	}
}

// settings hands the key=value words of a one-line form to set, in the order
// of their keys, until one fails.
func settings(words []string, set func(key, value string) error) error {
	if len(words) == 0 {
		return shell.Refusedf("Invalid arguments: there is nothing to set.")
	}
	values, err := shell.Settings(words)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if err := set(key, values[key]); err != nil {
			return err
		}
	}
	return nil
}

// setNumber reads a number of a one-line form into its place.
func setNumber(n *int, text string, low, high int) error {
	value, err := strconv.Atoi(text)
	if err != nil || value < low || value > high {
		return shell.Refusedf("The value must be a number from %d to %d.", low, high)
	}
	*n = value
	return nil
}

// parseYesNo reads yes or no of a one-line form.
func parseYesNo(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "yes", "y", "on":
		return true, nil
	case "no", "n", "off":
		return false, nil
	}
	return false, shell.Refusedf("Please answer Yes or No.")
}

// setYesNo reads yes or no of a one-line form into its place.
func setYesNo(on *bool, text string) error {
	value, err := parseYesNo(text)
	if err == nil {
		*on = value
	}
	return err
}
