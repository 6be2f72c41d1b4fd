package main

import (
	"context"
	"errors"
	"io"

	"esa/commands"
	"esa/mta"
	"esa/mta/envelope"
	"esa/mta/queue"
	"esa/shell"
)

// mailView is the queue as commands see it and act on it.
type mailView struct{ gateway *mta.Gateway }

func (m mailView) Each(s commands.Selection, visit func(commands.Queued) bool) error {
	return readable(m.gateway.EachMail(queue.Selection(s), func(e queue.Entry) bool { return visit(queuedView(e)) }))
}

func queuedView(e queue.Entry) commands.Queued {
	view := commands.Queued{Message: e.Message}
	for _, r := range e.Recipients {
		view.Recipients = append(view.Recipients, commands.QueuedRecipient(r))
	}
	return view
}

func (m mailView) Open(mid envelope.MID) (commands.Queued, io.ReadCloser, error) {
	e, text, err := m.gateway.Mail(mid)
	if errors.Is(err, queue.ErrNotQueued) {
		err = shell.Refusedf("MID %d is not in the queue.", mid)
	}
	return queuedView(e), text, readable(err)
}

func (m mailView) Delete(ctx context.Context, s commands.Selection, p commands.Progress) (commands.Acted, error) {
	done, err := m.gateway.DeleteMail(ctx, queue.Selection(s), queue.Progress(p))
	return commands.Acted(done), acted(err)
}

func (m mailView) Bounce(ctx context.Context, s commands.Selection, p commands.Progress) (commands.Acted, error) {
	done, err := m.gateway.BounceMail(ctx, queue.Selection(s), queue.Progress(p))
	return commands.Acted(done), acted(err)
}

func (m mailView) Redirect(ctx context.Context, to envelope.Machine, p commands.Progress) (commands.Acted, error) {
	done, err := m.gateway.RedirectMail(ctx, to, queue.Progress(p))
	return commands.Acted(done), acted(err)
}

func (m mailView) DeliverNow(domain string) (int, error) {
	n, err := m.gateway.DeliverNow(domain)
	return n, readable(err)
}

func (m mailView) Send(l commands.Letter) (envelope.MID, error) {
	mid, err := m.gateway.SendLetter(mta.Letter(l))
	switch {
	case errors.Is(err, queue.ErrNoSpace):
		err = shell.Refusedf("There is no space left for the queue: no mail is taken.")
	case errors.Is(err, queue.ErrClosed):
		err = shell.Refusedf("The gateway is stopping.")
	}
	return mid, readable(err)
}

// acted makes a refusal of an act that the end of the gateway stopped.
func acted(err error) error {
	if errors.Is(err, queue.ErrClosed) {
		return shell.Refusedf("The gateway is stopping.")
	}
	return readable(err)
}

// serviceView is what commands suspend.
type serviceView struct{ *mta.Gateway }

func (s serviceView) ChangeSuspension(edit func(*commands.Suspension) error) error {
	return readable(s.Gateway.ChangeSuspension(func(current *mta.Suspension) error {
		return edit((*commands.Suspension)(current))
	}))
}
