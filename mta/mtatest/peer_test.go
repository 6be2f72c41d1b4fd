package mtatest

import (
	"net"
	"testing"
	"time"
)

// A connection that is accepted while its peer stops is closed: whoever waits
// for the peer's end would else wait for the client's.
func TestPeer_ConnectionAsItStops(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	p := NewPeer(PeerScript{})
	p.Stop()
	served := make(chan struct{})
	go func() {
		p.Serve(server)
		close(served)
	}()
	select {
	case <-served:
	case <-time.After(20 * time.Second):
		t.Error("it is served")
	}
}
