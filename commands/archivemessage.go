package commands

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"esa/mta/envelope"
)

// archivemessage saves a message in configuration/ and deletes it from the
// queue (reference esa-operations 3.5).
func archivemessage() Command {
	return Command{
		Name:  "archivemessage",
		Short: "Archive a message and remove it from the queue.",
		Long:  `The file is one of mbox form. Nobody is told that the message was removed.`,
		Forms: []Form{{Usage: "archivemessage MID", Run: func(d *Dialog, env Env, args []string) error {
			mid, err := parseMID(args[0])
			if err != nil {
				return err
			}
			return archive(d, env, envelope.MID(mid))
		}}},
		Dialog: func(d *Dialog, env Env) error {
			if _, err := online(env); err != nil {
				return err
			}
			mid := askMID(d, "Enter the MID to archive and remove.", "0")
			if d.Err() != nil {
				return d.Err()
			}
			return archive(d, env, mid)
		},
	}
}

// archive saves first: after a fault or a crash in between the message is in
// both places.
func archive(d *Dialog, env Env, mid envelope.MID) error {
	q, text, err := env.Mail.Open(mid)
	if err != nil {
		return err
	}
	defer text.Close()
	name := fmt.Sprintf("oldmessage_%d.mbox", mid)
	if err := env.Files.Save(name, func(w io.Writer) error { return writeMbox(w, q.Message, text) }); err != nil {
		return fileFailed("The message could not be saved and is still in the queue.", err)
	}
	d.Printf("MID %d has been saved in file %s in the configuration directory\n", mid, name)
	return deleteMessage(d, env, mid)
}

// writeMbox writes a message as the only one of an mbox file (RFC 4155,
// appendix A, with the quoting of mboxrd, which can be undone).
func writeMbox(w io.Writer, m envelope.Message, text io.Reader) error {
	out := bufio.NewWriter(w)
	sender := m.Sender.String()
	if sender == "" {
		sender = "MAILER-DAEMON"
	}
	fmt.Fprintf(out, "From %s %s\n", printable(sender), m.Received.UTC().Format(time.ANSIC))
	in := bufio.NewReader(text)
	start := true
	for {
		part, err := in.ReadSlice('\n')
		ended := err == nil
		if start && bytes.HasPrefix(bytes.TrimLeft(part, ">"), []byte("From ")) {
			_ = out.WriteByte('>') // told by Flush, like the next
		}
		if ended {
			part = append(bytes.TrimSuffix(part[:len(part)-1], []byte("\r")), '\n')
		}
		_, _ = out.Write(part)
		switch start = ended; {
		case errors.Is(err, io.EOF):
			_ = out.WriteByte('\n')
			return out.Flush()
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}
