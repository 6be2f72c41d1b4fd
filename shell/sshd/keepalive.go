package sshd

import "time"

// keepAlive asks the client again and again whether it is there, until gone is
// closed. A client that does not answer is no longer waited for: without that,
// one whose machine was switched off would keep its session for hours.
func (c *connection) keepAlive(gone <-chan struct{}) {
	every := c.server.Keepalive
	if every <= 0 {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-gone:
			return
		case <-tick.C:
		}
		// Any answer will do: clients refuse a request they do not know.
		timer := time.AfterFunc(3*every, c.wire.stop)
		_, _, err := c.ssh.SendRequest(keepalive, true, nil)
		timer.Stop()
		if err != nil {
			return
		}
	}
}

// waitIdly closes the connection if it has no session for too long.
func (c *connection) waitIdly() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waitIdlyLocked()
}

func (c *connection) waitIdlyLocked() {
	if c.settings.Idle > 0 && c.open == 0 {
		c.waits++
		turn := c.waits
		c.idle = time.AfterFunc(c.settings.Idle, func() { c.closeIdle(turn) })
	}
}

// closeIdle looks again: a session may have been opened as the time was over.
func (c *connection) closeIdle(turn int) {
	c.mu.Lock()
	idle := c.idle != nil && c.waits == turn
	c.mu.Unlock()
	if idle {
		c.wire.Close()
	}
}

func (c *connection) stopWaiting() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopWaitingLocked()
}

func (c *connection) stopWaitingLocked() {
	if c.idle != nil {
		c.idle.Stop()
		c.idle = nil
	}
}
