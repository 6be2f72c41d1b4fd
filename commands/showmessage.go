package commands

import (
	"bufio"
	"errors"
	"io"

	"esa/mta/envelope"
)

// showmessage shows a queued message (reference esa-operations 3.5).
func showmessage() Command {
	return Command{
		Name:  "showmessage",
		Short: "Show a message.",
		Long:  `Characters that a terminal would obey are shown as a question mark.`,
		Forms: []Form{{Usage: "showmessage MID", Run: func(d *Dialog, env Env, args []string) error {
			mid, err := parseMID(args[0])
			if err != nil {
				return err
			}
			return printMessage(d, env, envelope.MID(mid), wholeMessage)
		}}},
		Dialog: func(d *Dialog, env Env) error {
			if _, err := online(env); err != nil {
				return err
			}
			mid := askMID(d, "Enter the MID to show.", "")
			if d.Err() != nil {
				return d.Err()
			}
			return printMessage(d, env, mid, wholeMessage)
		},
	}
}

// How much of a message is printed.
const (
	wholeMessage = false
	headerOnly   = true
)

// printMessage shows the age of a message and its text, or its header only.
func printMessage(d *Dialog, env Env, mid envelope.MID, header bool) error {
	q, text, err := env.Mail.Open(mid)
	if err != nil {
		return err
	}
	defer text.Close()
	d.Printf("\nMID %d: %s old\n\n", mid, age(env.Clock().Sub(q.Message.Received)))
	err = printText(d, text, header)
	if err != nil {
		return err
	}
	return d.Err()
}

// printText shows a text line by line; one that is too long for a line of
// mail is broken.
func printText(d *Dialog, text io.Reader, header bool) error {
	in := bufio.NewReaderSize(text, 1000)
	for {
		line, more, err := in.ReadLine()
		switch {
		case errors.Is(err, io.EOF), err == nil && header && len(line) == 0:
			return nil
		case err != nil:
			return err
		}
		shown := printable(string(line))
		if !more {
			shown += "\n"
		}
		if _, err := io.WriteString(d, shown); err != nil {
			return err
		}
		if d.Err() != nil {
			return d.Err()
		}
	}
}
